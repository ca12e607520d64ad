"""The watchers of a DAG's assets, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import orjson

from tradewind.authoring.assets import Asset, BaseAsset, assets_among
from tradewind.authoring.deferral import stored_trigger
from tradewind.authoring.nodes import DagContainer
from tradewind.model.assets import WatcherSpec
from tradewind.model.errors import AuthoringError, XComError

if TYPE_CHECKING:
    from tradewind.authoring.operator import BaseOperator


def watchers_of(timetable: object, tasks: Mapping[str, BaseOperator], dag: DagContainer) -> tuple[WatcherSpec, ...]:
    """The watchers of the assets in the schedule and in all inlets and outlets, each once, sorted.

    Raises:
        AuthoringError: a trigger that could not be made again, or two watchers of an asset that have one name.
    """
    found: dict[tuple[str, str], WatcherSpec] = {}
    for asset in _assets(timetable, tasks):
        for watcher in asset.watchers:
            where = f"watcher {watcher.name!r} of asset {asset.name!r}"
            try:
                kind, args = stored_trigger(watcher.trigger, dag, where)
            except (AuthoringError, XComError) as why:
                raise AuthoringError(f"DAG {dag.dag_id!r}: {where}: {why.message}") from why
            text = orjson.dumps(orjson.loads(args.data), option=orjson.OPT_SORT_KEYS).decode()
            spec = WatcherSpec(asset.uri, watcher.name, kind, args.codec, text)
            if found.setdefault((asset.uri, watcher.name), spec) != spec:
                raise AuthoringError(
                    f"DAG {dag.dag_id!r}: {where}: there are two of this name that do different things"
                )
    return tuple(found[key] for key in sorted(found))


def _assets(timetable: object, tasks: Mapping[str, BaseOperator]) -> Iterator[Asset]:
    condition = getattr(timetable, "asset_condition", None)
    if isinstance(condition, BaseAsset):
        yield from (leaf for leaf in condition.leaves() if isinstance(leaf, Asset))
    for task in tasks.values():
        for named in (getattr(task, "inlets", None), getattr(task, "outlets", None)):
            if named:
                yield from (leaf for leaf in assets_among(named) if isinstance(leaf, Asset))
