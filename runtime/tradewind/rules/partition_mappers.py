"""Mappers of partitions: how the key of an event becomes the keys of runs, and which events a run waits for.

A mapper is JSON: ``{"kind": "identity"}``, ``{"kind": "allowed", "keys": […]}``, ``{"kind": "fixed", "key": text}``,
``{"kind": "hour", "timezone": "UTC", "input": format, "output": format}`` (and day, week, month, quarter, year),
``{"kind": "product", "parts": [mapper, …], "by": "|"}``, ``{"kind": "chain", "parts": […]}``, ``{"kind": "rollup",
"parts": [upstream], "window": window, "least": n | null}`` or ``{"kind": "fan_out", "parts": [upstream, downstream],
"window": window}``; with ``"most": n`` where `max_downstream_keys` is given. ``{"kind": "own", "class": name}`` is code
of a DAG file, which has to be asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, cast

from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json
from tradewind.rules.partition_windows import Window

OURS: Final = "tradewind.rules.partition_"
"""How the modules begin whose mappers and windows need no code of a DAG file."""

_LACKS: Final = "{} is a partition mapper without to_downstream(self, key): define it"

Keys = str | Iterable[str] | None
"""What a mapper makes of a key: one, several, or None: the event does not count."""


class PartitionMapper:
    """How the key of an event becomes the key of a run. A class of your own defines `to_downstream`; a process is asked
    for what it says, each key once.
    """

    is_rollup: ClassVar[bool] = False
    expected_decoded_type: ClassVar[type] = str
    """What `decode_downstream` gives: a text, or a datetime without a zone."""
    max_downstream_keys: int | None = None

    def __init__(self, *, max_downstream_keys: int | None = None) -> None:
        """`max_downstream_keys`: the event does not count where its key becomes more keys than that."""
        most = cast("object", max_downstream_keys)
        if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
            raise AuthoringError(f"{type(self).__qualname__}: max_downstream_keys is a number from 1 on, not {most!r}")
        self.max_downstream_keys = max_downstream_keys

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        decodes = cls.decode_downstream is not PartitionMapper.decode_downstream
        if decodes != (cls.encode_upstream is not PartitionMapper.encode_upstream):
            raise AuthoringError(
                f"{cls.__qualname__} defines one of decode_downstream and encode_upstream: the other has to undo it, "
                "or its windows wait for keys that never come"
            )

    def to_downstream(self, key: str) -> Keys:
        """The key, or keys, of the runs that an event with this key belongs to; None: the event does not count."""
        raise AuthoringError(_LACKS.format(type(self).__qualname__))

    def decode_downstream(self, downstream_key: str) -> Any:
        """What windows take: where the part that the run is about begins."""
        return downstream_key

    def encode_upstream(self, decoded: Any) -> str:
        """The key of an event, for a part that a window has given."""
        return str(decoded)

    def to_partition_date(self, downstream_key: str) -> datetime | None:
        """The moment that a run's key stands for; None: it stands for none."""
        return None

    def to_json(self) -> dict[str, Json]:
        """The mapper as data; see the module."""
        raise AuthoringError(f"{type(self).__qualname__} is code of a DAG file")

    def serialize(self) -> dict[str, Any]:
        """What tells mappers of one class of your own apart, as plain data."""
        return {} if self.max_downstream_keys is None else {"max_downstream_keys": self.max_downstream_keys}

    def limited(self, data: dict[str, Json]) -> dict[str, Json]:
        """`data` with `max_downstream_keys`, where it is given."""
        return data if self.max_downstream_keys is None else {**data, "most": self.max_downstream_keys}


class IdentityMapper(PartitionMapper):
    """The key as it is."""

    def to_downstream(self, key: str) -> str:
        """See PartitionMapper."""
        return key

    def to_json(self) -> dict[str, Json]:
        """See PartitionMapper."""
        return self.limited({"kind": "identity"})


class AllowedKeyMapper(PartitionMapper):
    """Only these keys count."""

    def __init__(self, allowed_keys: Sequence[str], *, max_downstream_keys: int | None = None) -> None:
        super().__init__(max_downstream_keys=max_downstream_keys)
        self.allowed_keys = list(allowed_keys)

    def to_downstream(self, key: str) -> str | None:
        """See PartitionMapper."""
        return key if key in self.allowed_keys else None

    def to_json(self) -> dict[str, Json]:
        """See PartitionMapper."""
        return self.limited({"kind": "allowed", "keys": self.allowed_keys})


class FixedKeyMapper(PartitionMapper):
    """The same key for all."""

    def __init__(self, downstream_key: str, *, max_downstream_keys: int | None = None) -> None:
        super().__init__(max_downstream_keys=max_downstream_keys)
        if not isinstance(downstream_key, str) or not downstream_key:  # pyright: ignore[reportUnnecessaryIsInstance] - authors are not typed
            raise AuthoringError(f"FixedKeyMapper: a key is a text that is not empty, not {downstream_key!r}")
        self.downstream_key = downstream_key

    def to_downstream(self, key: str) -> str:
        """See PartitionMapper."""
        return self.downstream_key

    def to_json(self) -> dict[str, Json]:
        """See PartitionMapper."""
        return self.limited({"kind": "fixed", "key": self.downstream_key})


class ProductMapper(PartitionMapper):
    """Keys of several parts, each mapped by a mapper of its own to one key."""

    def __init__(self, *mappers: PartitionMapper, delimiter: str = "|", max_downstream_keys: int | None = None) -> None:
        super().__init__(max_downstream_keys=max_downstream_keys)
        if len(mappers) < 2:
            raise AuthoringError("ProductMapper: at least two mappers are needed")
        self.mappers = mappers
        self.delimiter = delimiter

    def to_downstream(self, key: str) -> str | None:
        """See PartitionMapper."""
        pieces = key.split(self.delimiter)
        if len(pieces) != len(self.mappers):
            return None
        found = [only_key(self, mapper, piece) for mapper, piece in zip(self.mappers, pieces, strict=True)]
        return None if None in found else self.delimiter.join(piece for piece in found if piece is not None)

    def to_partition_date(self, downstream_key: str) -> datetime | None:
        """That of the one part which stands for a moment; None where none does, or several."""
        pieces = downstream_key.split(self.delimiter)
        if len(pieces) != len(self.mappers):
            return None
        dates = [mapper.to_partition_date(piece) for mapper, piece in zip(self.mappers, pieces, strict=True)]
        known = [date for date in dates if date is not None]
        return known[0] if len(known) == 1 else None

    def to_json(self) -> dict[str, Json]:
        """See PartitionMapper."""
        return self.limited(
            {"kind": "product", "parts": [mapper_json(mapper) for mapper in self.mappers], "by": self.delimiter}
        )


class ChainMapper(PartitionMapper):
    """One mapper after the other."""

    def __init__(self, *mappers: PartitionMapper, max_downstream_keys: int | None = None) -> None:
        super().__init__(max_downstream_keys=max_downstream_keys)
        if len(mappers) < 2:
            raise AuthoringError("ChainMapper: at least two mappers are needed")
        self.mappers = mappers

    def to_downstream(self, key: str) -> Keys:
        """See PartitionMapper."""
        keys = [key]
        for mapper in self.mappers:
            keys = [new for one in keys for new in keys_of(mapper, one)]
        return keys[0] if len(keys) == 1 else (keys or None)

    def to_partition_date(self, downstream_key: str) -> datetime | None:
        """See PartitionMapper."""
        return self.mappers[-1].to_partition_date(downstream_key)

    def to_json(self) -> dict[str, Json]:
        """See PartitionMapper."""
        return self.limited({"kind": "chain", "parts": [mapper_json(mapper) for mapper in self.mappers]})


def mapper_json(mapper: PartitionMapper) -> dict[str, Json]:
    """The mapper as data: one of ours, or the name of a class whose code has to be asked. Raises AuthoringError."""
    if not isinstance(mapper, PartitionMapper):  # pyright: ignore[reportUnnecessaryIsInstance] - authors are not typed
        raise AuthoringError(f"{mapper!r} is no partition mapper: give an object of a subclass of PartitionMapper")
    if type(mapper).to_downstream is PartitionMapper.to_downstream:
        raise AuthoringError(_LACKS.format(type(mapper).__qualname__))
    return mapper.to_json() if type(mapper).__module__.startswith(OURS) else _own(type(mapper), mapper.serialize)


def window_json(window: Window) -> dict[str, Json]:
    """The window as data: one of ours, or the name of a class whose code has to be asked. Raises AuthoringError."""
    return window.to_json() if type(window).__module__.startswith(OURS) else _own(type(window), window.serialize)


def keys_of(mapper: PartitionMapper, key: str) -> list[str]:
    """What the mapper makes of a key, checked, each once, in order. Raises AuthoringError; what code of a DAG file
    raises comes out as it is.
    """
    found = cast("object", mapper.to_downstream(key))
    if found is None:
        return []
    keys: list[object] = [found]
    if isinstance(found, Iterable) and not isinstance(found, str):
        keys = list(cast("Iterable[object]", found))
    texts = [one for one in keys if isinstance(one, str) and one]
    if len(texts) < len(keys):
        whose = f"{type(mapper).__qualname__}.to_downstream({key!r})"
        raise AuthoringError(f"{whose} gives {found!r}: one text, several, or None, is needed")
    return list(dict.fromkeys(texts))


def only_key(whose: PartitionMapper, mapper: PartitionMapper, key: str) -> str | None:
    """The one key that a mapper within another makes. Raises AuthoringError where there are several."""
    found = keys_of(mapper, key)
    if len(found) > 1:
        names = f"{type(whose).__qualname__}: {type(mapper).__qualname__}"
        raise AuthoringError(f"{names} makes {len(found)} keys of {key!r}; one is needed here")
    return found[0] if found else None


def _own(kind: type[object], serialize: Callable[[], Json]) -> dict[str, Json]:
    name = f"{kind.__module__}.{kind.__qualname__}"
    own: dict[str, Json] = {"kind": "own", "class": name, "data": serialize()}  # tells versions of the DAG apart
    try:
        json.dumps(own)
    except (TypeError, ValueError) as error:
        raise AuthoringError(f"{name}.serialize: {error}; plain data is needed") from error
    return own
