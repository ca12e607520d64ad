"""Tasks that fail where data is not as it should be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Unpack, cast

from tradewind.authoring.loop_clients import either_way
from tradewind.model.errors import AuthoringError, TaskFailed
from tradewind_providers.sql.handlers import fetch_one_handler
from tradewind_providers.sql.hook import Parameters
from tradewind_providers.sql.operators import BaseSQLOperator, SQLPlaceArguments


class SQLCheckOperator(BaseSQLOperator):
    """Fails where a cell of the query's first row is false, 0, empty or null, or where there is no row."""

    template_fields: Sequence[str] = ("conn_id", "sql", "parameters", "hook_params", "database")
    template_ext: Sequence[str] = (".sql",)
    own_arguments: ClassVar[frozenset[str]] = BaseSQLOperator.own_arguments
    ui_color = "#fff7e6"

    def __init__(self, *, sql: str, parameters: Parameters = None, **arguments: Unpack[SQLPlaceArguments]) -> None:
        super().__init__(**arguments)
        self.sql = sql
        self.parameters = parameters

    def execute(self, context: Any) -> Any:
        """Asks and judges. Raises TaskFailed."""
        return either_way(lambda: self._check(context))

    async def _check(self, context: Any) -> None:
        del context
        row = await self._row()
        if not all(row):
            raise TaskFailed(f"Test failed.\nQuery:\n{self.sql}\nResults:\n{row!s}")
        self.log.info("Success.")

    async def _row(self) -> Sequence[Any]:
        row = await self.run_here(self.sql, parameters=self.parameters, handler=fetch_one_handler)
        self.log.info("Record: %s", row)
        if not row:
            raise TaskFailed(f"The following query returned zero rows: {self.sql}")
        return cast("Sequence[Any]", row)


class SQLValueCheckOperator(SQLCheckOperator):
    """Fails where a cell of the query's first row is not `pass_value`: for numbers within a part `tolerance` of it."""

    template_fields: Sequence[str] = (*SQLCheckOperator.template_fields, "pass_value")

    def __init__(
        self, *, sql: str, pass_value: Any, tolerance: float | None = None, **arguments: Unpack[SQLPlaceArguments]
    ) -> None:
        super().__init__(sql=sql, **arguments)
        self.pass_value = pass_value
        self.tolerance = tolerance

    async def _check(self, context: Any) -> None:
        del context
        row = await self._row()
        if not all(self._fits(cell) for cell in row):
            tolerance = "" if self.tolerance is None else f" Tolerance: {self.tolerance * 100}%"
            raise TaskFailed(
                f"Test failed.\nPass value: {self.pass_value}{tolerance}\nQuery:\n{self.sql}\nResults:\n{row!s}"
            )

    def _fits(self, cell: Any) -> bool:
        try:
            wanted, found = float(self.pass_value), float(cell)
        except (TypeError, ValueError):
            return str(cell) == str(self.pass_value)
        part = abs(wanted) * (self.tolerance or 0.0)
        return wanted - part <= found <= wanted + part


class SQLThresholdCheckOperator(SQLCheckOperator):
    """Fails where the first cell is below `min_threshold` or above `max_threshold`: numbers, or queries for them."""

    template_fields: Sequence[str] = (*SQLCheckOperator.template_fields, "min_threshold", "max_threshold")

    def __init__(
        self, *, sql: str, min_threshold: Any, max_threshold: Any, **arguments: Unpack[SQLPlaceArguments]
    ) -> None:
        super().__init__(sql=sql, **arguments)
        self.min_threshold = min_threshold
        self.max_threshold = max_threshold

    async def _check(self, context: Any) -> None:
        del context
        found = (await self._row())[0]
        least, most = await self._bound(self.min_threshold), await self._bound(self.max_threshold)
        if not least <= float(found) <= most:
            raise TaskFailed(
                f"Threshold check failed.\nQuery:\n{self.sql}\nResult {found} is not from {least} to {most}"
            )

    async def _bound(self, bound: Any) -> float:
        try:
            return float(bound)
        except (TypeError, ValueError):
            row = await self.run_here(str(bound), handler=fetch_one_handler)
            return float(row[0])


class SQLIntervalCheckOperator(BaseSQLOperator):
    """Fails where a metric of today differs too much from that of `days_back` days ago.

    `metrics_thresholds` maps expressions (`COUNT(*)`) to the largest ratio of the two: of the greater to the less
    (`ratio_formula="max_over_min"`), or of their difference to the earlier one (`"relative_diff"`).
    """

    template_fields: Sequence[str] = ("conn_id", "sql1", "sql2", "hook_params", "database")
    own_arguments: ClassVar[frozenset[str]] = BaseSQLOperator.own_arguments
    ui_color = "#fff7e6"

    def __init__(
        self,
        *,
        table: str,
        metrics_thresholds: Mapping[str, float],
        date_filter_column: str = "ds",
        days_back: int = -7,
        ratio_formula: str = "max_over_min",
        ignore_zero: bool = True,
        **arguments: Unpack[SQLPlaceArguments],
    ) -> None:
        super().__init__(**arguments)
        if ratio_formula not in ("max_over_min", "relative_diff"):
            raise AuthoringError(
                f"{type(self).__name__} {self.task_id!r}: ratio_formula {ratio_formula!r} is none of max_over_min, "
                "relative_diff"
            )
        self.metrics_thresholds = dict(metrics_thresholds)
        self.ratio_formula = ratio_formula
        self.ignore_zero = ignore_zero
        asked = f"{', '.join(self.metrics_thresholds)} FROM {table} WHERE {date_filter_column}"
        self.sql1 = f"SELECT {asked}='{{{{ ds }}}}'"
        self.sql2 = f"SELECT {asked}='{{{{ macros.ds_add(ds, {-abs(days_back)}) }}}}'"

    def execute(self, context: Any) -> Any:
        """Asks for both days and judges. Raises TaskFailed naming the metrics that differ."""
        return either_way(lambda: self._check(context))

    async def _check(self, context: Any) -> None:
        del context
        now = await self.run_here(self.sql1, handler=fetch_one_handler)
        before = await self.run_here(self.sql2, handler=fetch_one_handler)
        for row, sql in ((before, self.sql2), (now, self.sql1)):
            if not row:
                raise TaskFailed(f"The following query returned zero rows: {sql}")
        failed: list[str] = []
        for place, (metric, threshold) in enumerate(self.metrics_thresholds.items()):
            if not self._fits(now[place], before[place], threshold):
                failed.append(f"{metric}: {now[place]} today, {before[place]} before, allowed ratio {threshold}")
        if failed:
            raise TaskFailed("The following tests have failed:\n" + "\n".join(failed))

    def _fits(self, now: Any, before: Any, threshold: float) -> bool:
        if not now or not before:
            return self.ignore_zero
        if self.ratio_formula == "relative_diff":
            return abs(float(now) - float(before)) / abs(float(before)) < threshold
        return max(float(now), float(before)) / min(float(now), float(before)) < threshold
