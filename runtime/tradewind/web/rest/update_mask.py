"""Which fields of a body a PATCH changes: all that it holds, or those that `update_mask` names."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from tradewind.web.problems import bad_request
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call

UPDATE_MASK: Final = Param("update_mask", Kind.TEXTS, "Change only these fields of the body.", maximum=250)


def fields_to_change(call: Call, changeable: Collection[str]) -> list[str]:
    """Names of the body's fields that are to be changed. Raises Problem 400."""
    wanted = call.texts("update_mask")
    unknown = sorted(set(wanted).difference(changeable))
    if unknown:
        raise bad_request(f"{', '.join(unknown)} is unknown or cannot be updated; there are: {', '.join(changeable)}")
    missing = sorted(set(wanted).difference(call.given))
    if missing:
        raise bad_request(f"update_mask names {', '.join(missing)}, which the body does not hold")
    return [name for name in changeable if name in call.given and (not wanted or name in wanted)]
