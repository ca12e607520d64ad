"""Values that waits keep: arguments of triggers and of the methods that go on, and what events brought.

They are stored as XComs are, but always as JSON: the runtime itself reads them, so that neither a back end for XComs
nor pickle has a part in them.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from tradewind.authoring import xcom_codec
from tradewind.authoring.defaults import current_defaults
from tradewind.model.errors import XComError
from tradewind.model.outcomes import CODEC_JSON, CODEC_TYPED_JSON, EncodedValue, kept_json

_READABLE: Final = (CODEC_JSON, CODEC_TYPED_JSON)


def packed(value: object, where: str) -> EncodedValue:
    """`value` as it is stored. Raises XComError naming the place, from `where` on, and what cannot be stored there."""
    marked = xcom_codec.to_json(value, where)
    try:
        data = kept_json(marked)
    except (TypeError, orjson.JSONEncodeError) as why:
        raise XComError(f"{where} cannot be stored: {why}") from why
    limit = current_defaults().xcom_max_bytes
    if len(data) > limit:
        raise XComError(
            f"{where}: {len(data):,} bytes encoded are more than the {limit:,} allowed (xcom_max_bytes); store the "
            "data elsewhere and hand over where"
        )
    return EncodedValue(CODEC_JSON if marked is value else CODEC_TYPED_JSON, data)


def unpacked(stored: EncodedValue) -> Any:
    """The value that `packed` was given. Raises XComError where it cannot be read."""
    if stored.codec not in _READABLE:
        raise XComError(f"a wait's value has the codec {stored.codec}; a newer version may have written it")
    value: Any = orjson.loads(stored.data)
    return value if stored.codec == CODEC_JSON else xcom_codec.from_json(value)
