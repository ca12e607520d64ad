"""Bundles: where the DAG files come from, as the DAGs tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from tradewind.model.rows import DagRow
from tradewind.model.specs import Json
from tradewind.web.answers import json_answer
from tradewind.web.problems import not_found
from tradewind.web.rest.listing import PAGE, order_by, ordered, page_of
from tradewind.web.rest.route import Call, Route


@dataclass(frozen=True, slots=True)
class _Bundle:
    """A bundle with its DAGs in force, and how many of its files are broken."""

    name: str
    dags: Sequence[DagRow]
    errors: int

    @property
    def newest(self) -> DagRow | None:
        """The DAG that was read last."""
        return max(self.dags, key=lambda row: row.last_parsed_at, default=None)

    def shown(self) -> dict[str, Json]:
        """As lists show it. `bundle_url` and `team_name` are there for clients that know them."""
        newest = self.newest
        return {
            "name": self.name,
            "active": bool(self.dags),
            "version": (newest.source.bundle_version or None) if newest else None,
            "last_refreshed": newest.last_parsed_at if newest else None,
            "bundle_url": None,
            "team_name": None,
            "import_error_count": self.errors,
        }


async def _bundles(call: Call) -> list[_Bundle]:
    rows, errors = await call.reads.dag_list(), await call.reads.import_error_list()
    names = sorted({row.source.bundle for row in rows} | {error.bundle for error in errors})
    return [
        _Bundle(
            name,
            [row for row in rows if row.source.bundle == name and row.is_active],
            sum(error.bundle == name for error in errors),
        )
        for name in names
    ]


_ORDER: Final[Mapping[str, Callable[[_Bundle], Json]]] = {
    "name": lambda bundle: bundle.name,
    "version": lambda bundle: bundle.shown()["version"],
    "last_refreshed": lambda bundle: bundle.shown()["last_refreshed"],
    "active": lambda bundle: bool(bundle.dags),
}


async def list_bundles(call: Call) -> web.Response:
    """GET /dagBundles."""
    found = ordered(await _bundles(call), call.text("order_by"), _ORDER)
    page = [bundle.shown() for bundle in page_of(call, found)]
    return json_answer({"dag_bundles": page, "total_entries": len(found)})


async def get_bundle(call: Call) -> web.Response:
    """GET /dagBundles/{bundle_name}."""
    name = call.text("bundle_name")
    for bundle in await _bundles(call):
        if bundle.name == name:
            return json_answer({**bundle.shown(), "dag_count": len(bundle.dags)})
    raise not_found("Dag bundle not found", f"Dag bundle with name `{name}` was not found")


ROUTES: Final = (
    Route(
        "GET",
        "/dagBundles",
        "get_dag_bundles",
        list_bundles,
        "Dag Bundle",
        "The bundles that DAG files have come from, with the version that was read last.",
        query=(*PAGE, order_by(*_ORDER, default="name")),
        answers={200: "DagBundleCollection"},
    ),
    Route(
        "GET",
        "/dagBundles/{bundle_name}",
        "get_dag_bundle",
        get_bundle,
        "Dag Bundle",
        "One bundle.",
        answers={200: "DagBundleDetail"},
    ),
)
