"""What a DAG says about assets, as data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tradewind.authoring.assets import AssetRef, BaseAsset, assets_among, use_of
from tradewind.model.assets import INLET, OUTLET, SCHEDULE, AssetUse
from tradewind.model.errors import AuthoringError

if TYPE_CHECKING:
    from tradewind.authoring.operator import BaseOperator

_ROLES = (("inlets", INLET), ("outlets", OUTLET))


def uses_of(timetable: object, tasks: Mapping[str, BaseOperator]) -> tuple[AssetUse, ...]:
    """The assets of the schedule and of all inlets and outlets, each once a role and task, sorted.

    Raises:
        AuthoringError: an outlet is a reference; the event of a task names its asset itself.
    """
    found: dict[tuple[str, str, str, str], AssetUse] = {}
    condition = getattr(timetable, "asset_condition", None)
    if isinstance(condition, BaseAsset):
        for leaf in condition.leaves():
            _note(found, use_of(leaf, SCHEDULE))
    for task_id, task in tasks.items():
        for attribute, role in _ROLES:
            values = getattr(task, attribute, None)
            if not values:
                continue
            for leaf in assets_among(values):
                if role is OUTLET and isinstance(leaf, AssetRef):
                    raise AuthoringError(f"task {task_id!r}: outlets: give the asset itself, not {leaf!r}")
                _note(found, use_of(leaf, role, task_id))
    return tuple(found[key] for key in sorted(found))


def _note(found: dict[tuple[str, str, str, str], AssetUse], use: AssetUse) -> None:
    found[use.role, use.task_id, use.kind, use.ref] = use
