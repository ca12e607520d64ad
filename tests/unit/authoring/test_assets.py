"""What DAG files can say about assets."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tradewind import DAG
from tradewind.authoring.asset_events import OutletEvents
from tradewind.authoring.assets import (
    Asset,
    AssetAlias,
    AssetAll,
    AssetAny,
    AssetRef,
    Dataset,
    DatasetAlias,
    Metadata,
    Model,
    asset_schedule,
)
from tradewind.authoring.timetables import (
    AssetOrTimeSchedule,
    CronTriggerTimetable,
    DagRunInfo,
    DatasetOrTimeSchedule,
    Timetable,
)
from tradewind.bundles.loader import load_file
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import DagSpec
from tradewind.standard.asset_decorator import asset
from tradewind.standard.empty import EmptyOperator

A, B, C = Asset("a"), Dataset("s3://lake/b"), AssetAlias("c")


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        ("orders", "orders"),
        ("s3://bucket/key/", "s3://bucket/key"),
        ("S3://bucket", "s3://bucket/"),
        ("postgres://me:secret@host:5432/db/table?b=2&a=1#x", "postgres://host:5432/db/table?a=1&b=2"),
        ("file:///data/x", "file:///data/x"),
        ("x-mine://a//", "x-mine://a//"),
        ("C:odd", "C:odd"),
    ],
)
def test_uris_are_normalised(given: str, uri: str) -> None:
    assert Dataset(given).uri == uri
    assert Asset(uri=given).name == uri
    assert Asset("name", given) == Dataset(given)
    assert hash(Asset("name", given)) == hash(Dataset(given))


@pytest.mark.parametrize("uri", ["", "  ", "ümlaut://x", "airflow://x", "a\0b", "a\nb", "http://[bad", 7, "x" * 1501])
def test_uris_that_cannot_be(uri: Any) -> None:
    with pytest.raises(AuthoringError, match="Dataset: uri"):
        Dataset(uri)


def test_what_cannot_be_is_named() -> None:
    with pytest.raises(AuthoringError, match="a name or a uri is needed"):
        Asset()
    with pytest.raises(AuthoringError, match="cannot be written as JSON"):
        Asset("a", extra={"x": object()})
    with pytest.raises(AuthoringError, match="either name= or uri="):
        Asset.ref()
    with pytest.raises(AuthoringError, match="&: an Asset"):
        A & "b"  # pyright: ignore[reportUnusedExpression]
    with pytest.raises(AuthoringError, match="'b' is none"):
        DAG("d", schedule=[A, "b"]).to_spec()
    with pytest.raises(AuthoringError, match="a list of assets is needed"):
        DAG("d", schedule=[]).to_spec()
    with pytest.raises(TypeError, match="one value"):
        list(Metadata(A))


def test_conditions() -> None:
    assert ((A & B) | C).condition() == {"any": [{"all": [{"asset": "a"}, {"asset": "s3://lake/b"}]}, {"alias": "c"}]}
    assert (A | B | C).condition() == AssetAny(A, B, C).condition()
    assert AssetAll(A, B, C) == (A & B & C)
    assert ((A & B) | C).as_expression() == {"any": [{"all": ["a", "s3://lake/b"]}, {"alias": "c"}]}
    assert asset_schedule([A, B]) == AssetAll(A, B)
    assert asset_schedule("@daily") is None
    assert Asset.ref(name="a").condition() == {"name": "a"}
    assert AssetRef(uri="s3://x").condition() == {"uri": "s3://x/"}
    assert [uri for uri, _ in (A | B).iter_datasets()] == ["a", "s3://lake/b"]
    assert Model("m").group == "model"
    assert str(DatasetAlias("z")) == "DatasetAlias(name='z')"


def test_the_spec_says_which_assets_a_dag_has_to_do_with() -> None:
    with DAG("d", schedule=(A & B) | C) as dag:
        EmptyOperator(task_id="t", inlets=[Asset.ref(name="x")], outlets=[B, DatasetAlias("y"), "not an asset"])
    spec = dag.to_spec()
    assert [(use.role, use.task_id, use.kind, use.ref) for use in spec.assets] == [
        ("inlet", "t", "name", "x"),
        ("outlet", "t", "alias", "y"),
        ("outlet", "t", "asset", "s3://lake/b"),
        ("schedule", "", "alias", "c"),
        ("schedule", "", "asset", "a"),
        ("schedule", "", "asset", "s3://lake/b"),
    ]
    assert DagSpec.from_json(spec.to_json()) == spec
    assert (spec.timetable.summary, spec.timetable.description) == ("Dataset", "Triggered by datasets")
    assert DAG("e", schedule={A, C}).to_spec().content_hash() == DAG("e", schedule={C, A}).to_spec().content_hash()
    with DAG("r", schedule=None) as wrong:
        EmptyOperator(task_id="t", outlets=[Asset.ref(name="x")])
    with pytest.raises(AuthoringError, match="give the asset itself"):
        wrong.to_spec()


def test_assets_or_time() -> None:
    time = CronTriggerTimetable("0 6 * * *", timezone="UTC")
    spec = DAG("d", schedule=AssetOrTimeSchedule(timetable=time, assets=A)).to_spec().timetable
    assert spec.args["timetable"] == {"kind": "cron_trigger", "args": time.arguments()}
    assert spec.summary == "Asset or 0 6 * * *"
    assert (
        DAG("e", schedule=DatasetOrTimeSchedule(timetable=time, datasets=[B])).to_spec().timetable.args["word"]
        == "dataset"
    )
    with pytest.raises(AuthoringError, match="timetable="):
        AssetOrTimeSchedule(timetable="@daily", assets=A)  # type: ignore[arg-type]
    with pytest.raises(AuthoringError, match="assets="):
        AssetOrTimeSchedule(timetable=time, assets="a")


class EachDay(Timetable):
    """Of an author's own."""

    def next_dagrun_info(self, *, last_automated_data_interval: Any, restriction: Any, **_: Any) -> DagRunInfo | None:
        start = restriction.earliest if last_automated_data_interval is None else last_automated_data_interval.end
        return DagRunInfo.interval(start, start + timedelta(days=1))


def test_assets_or_a_timetable_of_ones_own() -> None:
    dag = DAG("d", schedule=AssetOrTimeSchedule(timetable=EachDay(), assets=A), start_date="2026-01-01")
    spec = dag.to_spec().timetable
    assert (spec.kind, spec.summary, spec.args["timetable"]["kind"]) == ("assets_or_time", "Asset or EachDay", "custom")
    assert dag.timetable.summary == spec.summary
    assert dag.start_date is not None
    days = [
        info.logical_date.day for info in dag.iter_dagrun_infos_between(dag.start_date, dag.start_date + timedelta(2))
    ]
    assert days == [1, 2, 3]


def test_a_function_as_an_asset() -> None:
    @asset(schedule="@daily", uri="s3://lake/orders", group="lake", extra={"x": 1})
    def orders(self: Any, context: Any) -> None:
        """Orders of the day."""

    @asset(schedule=orders)
    async def report(self: Any, orders: Any, limit: int = 3) -> None: ...

    @asset.multi(schedule=None, outlets=[A, B])
    def several() -> None: ...

    assert (orders.name, orders.uri, orders.group, orders.extra) == ("orders", "s3://lake/orders", "lake", {"x": 1})
    assert orders.dag is not None
    spec = orders.dag.to_spec()
    assert (spec.dag_id, spec.doc_md, [task.task_id for task in spec.tasks]) == (
        "orders",
        "Orders of the day.",
        ["orders"],
    )
    assert report.dag is not None
    assert report.dag.to_spec().tasks[0].is_async
    assert [(use.role, use.kind, use.ref) for use in report.dag.to_spec().assets] == [
        ("inlet", "name", "orders"), ("outlet", "asset", "report"), ("schedule", "asset", "s3://lake/orders")
    ]  # fmt: skip
    assert list(several) == [A, B]
    with pytest.raises(AuthoringError, match="self, context, outlet_events or names of assets"):
        asset(schedule=None, name="x")(lambda *args: None)
    with pytest.raises(AuthoringError, match="at least one asset"):
        asset.multi(schedule=None, outlets=[])


def test_a_file_of_assets_is_a_file_of_dags(tmp_path: Any) -> None:
    file = tmp_path / "lake.py"
    file.write_text(
        "from tradewind.standard.asset_decorator import asset\n"
        "@asset(schedule=None)\n"
        "def orders(): ...\n"
        "@asset(schedule=orders)\n"
        "def report(orders): ...\n"
    )
    assert list(load_file(file).dags) == ["orders", "report"]


def test_an_outlet_is_found_by_the_name_of_its_alias_or_its_own() -> None:
    events = OutletEvents([C, Asset("orders", "s3://lake/orders"), B])
    events["c"].add(Dataset("s3://lake/found"), extra={"k": "v"})
    events["orders"].extra = {"rows": 1}
    events["s3://lake/b"].extra = {"rows": 2}
    assert [(put.uri, put.extra, put.aliases) for put in events.puts()] == [
        ("s3://lake/found", b'{"k":"v"}', ("c",)),
        ("s3://lake/orders", b'{"rows":1}', ()),
        ("s3://lake/b", b'{"rows":2}', ()),
    ]
