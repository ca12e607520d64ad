"""Shops report their sales by part of the calendar and by shop; what is made of them waits for windows of parts."""

from datetime import datetime, timedelta

from airflow.sdk import (
    DAG,
    Asset,
    CronPartitionTimetable,
    FanOutMapper,
    FixedKeyMapper,
    IdentityMapper,
    MinimumCount,
    PartitionedAssetTimetable,
    PartitionedAtRuntime,
    QuarterWindow,
    RollupMapper,
    SegmentWindow,
    StartOfDayMapper,
    StartOfMonthMapper,
    StartOfQuarterMapper,
    StartOfWeekMapper,
    WeekWindow,
    Window,
    asset,
    task,
)

NOT_PAUSED = {"is_paused_upon_creation": False}
SHOPS = SegmentWindow(["haarlem", "leiden", "utrecht"])

takings = Asset("takings", uri="s3://shops/takings")
prices = Asset("prices", uri="s3://shops/prices")


@asset(schedule=PartitionedAtRuntime(), uri="s3://shops/counted", **NOT_PAUSED)
def counted(self, outlet_events):
    outlet_events[self].add_partitions(["leiden", "utrecht"])
    outlet_events[self].add_partitions("leiden")


def noted(dag_id, schedule, **more):
    """A DAG whose run says what it is about."""
    with DAG(dag_id, schedule=schedule, **NOT_PAUSED, **more):

        @task
        def note(*, dag_run, partition_key, partition_date, triggering_asset_events):
            assert (partition_key, partition_date) == (dag_run.partition_key, dag_run.partition_date)
            events = sorted(e.partition_key for found in triggering_asset_events.values() for e in found)
            return [partition_key, None if partition_date is None else partition_date.isoformat(), events]

        note()


def by_shop(policy=None):
    return RollupMapper(upstream_mapper=FixedKeyMapper("all shops"), window=SHOPS, wait_policy=policy)


class Weekend(Window):
    """Saturday and Sunday of a week."""

    expected_decoded_type = datetime

    def to_upstream(self, start):
        return [start + timedelta(days=5), start + timedelta(days=6)]


noted("all_shops", PartitionedAssetTimetable(assets=counted, default_partition_mapper=by_shop()))
noted("most_shops", PartitionedAssetTimetable(assets=counted, default_partition_mapper=by_shop(MinimumCount(-1))))
noted("each_shop", PartitionedAssetTimetable(assets=Asset.ref(name="counted")))
noted(
    "quarter",
    PartitionedAssetTimetable(
        assets=takings,
        default_partition_mapper=RollupMapper(
            upstream_mapper=StartOfQuarterMapper(timezone="Europe/Amsterdam", input_format="%Y-%m"),
            window=QuarterWindow(),
        ),
    ),
)
noted(
    "weekend",
    PartitionedAssetTimetable(
        assets=takings,
        default_partition_mapper=RollupMapper(
            upstream_mapper=StartOfWeekMapper(input_format="%Y-%m-%d"), window=Weekend()
        ),
    ),
)
noted(
    "each_day",
    PartitionedAssetTimetable(
        assets=prices & takings,
        partition_mapper_config={
            prices: FanOutMapper(upstream_mapper=StartOfWeekMapper(), window=WeekWindow()),
            takings: StartOfDayMapper(input_format="%Y-%m-%d"),
        },
    ),
    max_active_runs=1,
)
noted(
    "too_many",
    PartitionedAssetTimetable(
        assets=prices,
        default_partition_mapper=FanOutMapper(
            upstream_mapper=IdentityMapper(), window=SHOPS, downstream_mapper=IdentityMapper(), max_downstream_keys=2
        ),
    ),
)
noted(
    "monthly",
    CronPartitionTimetable("0 0 1 * *", timezone="Europe/Amsterdam", run_offset=-1, key_format="%Y-%m"),
    start_date=datetime(2026, 1, 2),
    end_date=datetime(2026, 2, 2),
    catchup=True,
)
with DAG("hands_on", schedule=None, **NOT_PAUSED):

    @task(outlets=[Asset("handed", uri="s3://shops/handed")])
    def hand(): ...

    hand()

noted("handed_month", PartitionedAssetTimetable(assets=Asset("handed", uri="s3://shops/handed")))
noted(
    "handed_day",
    PartitionedAssetTimetable(
        assets=Asset("handed", uri="s3://shops/handed"),
        default_partition_mapper=StartOfMonthMapper(input_format="%Y-%m"),
    ),
)
