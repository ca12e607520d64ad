"""XCom values: how they become bytes and back, with a limit on their size and back ends of one's own."""

from __future__ import annotations

import functools
import inspect
import logging
import pickle
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson

from tradewind.authoring import xcom_codec
from tradewind.authoring.access import current_attempt
from tradewind.authoring.defaults import current_defaults
from tradewind.authoring.operator import BaseOperator
from tradewind.model.errors import ConfigError, XComError
from tradewind.model.outcomes import (
    CODEC_CUSTOM,
    CODEC_JSON,
    CODEC_PICKLE,
    CODEC_TYPED_JSON,
    RETURN_KEY,
    EncodedValue,
    XComPut,
    kept_json,
)
from tradewind.model.specs import Json

log = logging.getLogger("tradewind.task.xcom")

FACTS = ("key", "task_id", "dag_id", "run_id", "map_index")
"""What a back end is told about a value, in this order."""


def encode(value: object, *, where: str = "value", facts: Mapping[str, Any] | None = None) -> EncodedValue:
    """`value` as it is stored: JSON, JSON with marks for other types, or what the configured back end makes.

    `facts` (key, task_id, dag_id, run_id, map_index) are offered to the back end; those of the running attempt
    are known. Raises XComError naming what cannot be stored, or how large the value is and what is allowed.
    """
    backend = _backend()
    if backend is BaseXCom:
        encoded = _encode_json(value, where)
    else:
        encoded = EncodedValue(CODEC_CUSTOM, _bytes_of(backend, value, _all_facts(facts or {}), where))
    limit = current_defaults().xcom_max_bytes
    if len(encoded.data) > limit:
        raise XComError(
            f"{where} takes {len(encoded.data):,} bytes encoded, more than the {limit:,} allowed (xcom_max_bytes); "
            "store it elsewhere and return where, or raise the limit"
        )
    return encoded


def check_xcom_key(key: object) -> None:
    """Raises XComError where the key is no text, or empty. Any other text is a key."""
    if not isinstance(key, str) or not key:
        raise XComError(f"the key of an XCom has to be a text that is not empty, not {key!r}")


def decode(encoded: EncodedValue, facts: Mapping[str, Any] | None = None) -> Any:
    """The value that `encode` was given. Raises XComError where it cannot be read."""
    if encoded.codec == CODEC_JSON:
        return orjson.loads(encoded.data)
    if encoded.codec == CODEC_TYPED_JSON:
        return xcom_codec.from_json(orjson.loads(encoded.data))
    if encoded.codec == CODEC_PICKLE:
        return _unpickle(encoded.data)
    if encoded.codec == CODEC_CUSTOM:
        backend = _backend()
        try:
            return backend.deserialize_value(StoredXCom(encoded.data, **(facts or {})))
        except XComError:
            raise
        except Exception as why:
            raise XComError(f"{backend.__name__}.deserialize_value failed: {type(why).__name__}: {why}") from why
    raise XComError(f"a stored value has the unknown codec {encoded.codec}; a newer version may have written it")


def readable(encoded: EncodedValue) -> Json:
    """The value as plain JSON for people; no class of the author's is imported. Custom values as text."""
    if encoded.codec in (CODEC_JSON, CODEC_TYPED_JSON):
        return xcom_codec.readable(orjson.loads(encoded.data))
    if encoded.codec == CODEC_PICKLE:
        return f"<pickled, {len(encoded.data):,} bytes>"
    return encoded.data.decode("utf-8", errors="backslashreplace")


def puts_of(operator: BaseOperator, value: object) -> tuple[XComPut, ...]:
    """What an attempt leaves behind for its result: `return_value`, and each key with `multiple_outputs`.

    Nothing where the result is None or `do_xcom_push` is off. Raises XComError.
    """
    if value is None or not operator.do_xcom_push:
        return ()
    facts = {"task_id": operator.task_id, "dag_id": operator.dag_id, "key": RETURN_KEY}
    where = f"the result of task {operator.task_id!r}"
    puts = [XComPut(RETURN_KEY, encode(value, where=where, facts=facts))]
    if operator.multiple_outputs:
        if not isinstance(value, Mapping):
            raise XComError(
                f"task {operator.task_id!r} has multiple_outputs and has to return a dict, not {type(value).__name__}"
            )
        for key, item in cast("Mapping[object, object]", value).items():
            if not isinstance(key, str):
                raise XComError(f"{where}: with multiple_outputs its keys have to be texts, not {key!r}")
            puts.append(XComPut(key, encode(item, where=f"{where}[{key!r}]", facts={**facts, "key": key})))
    return tuple(puts)


@dataclass(frozen=True, slots=True)
class StoredXCom:
    """What a back end's `deserialize_value` gets: `value` holds the bytes that it made; the rest is known where the
    value was asked for by name.
    """

    value: bytes
    key: str | None = None
    task_id: str | None = None
    dag_id: str | None = None
    run_id: str | None = None
    map_index: int = -1


class BaseXCom:
    """Base of XCom back ends; set `xcom_backend` to the import path of a subclass.

    `serialize_value` makes bytes (or text) of a value, `deserialize_value` the value of what was stored.
    The facts that it may ask for are key, task_id, dag_id, run_id and map_index, by keyword.
    """

    @staticmethod
    def serialize_value(value: Any, *args: Any, **kwargs: Any) -> Any:
        """`value` as typed JSON bytes. A subclass may name the facts one by one, or none of them."""
        del args, kwargs
        return orjson.dumps(xcom_codec.to_json(value))

    @staticmethod
    def deserialize_value(result: StoredXCom) -> Any:
        """The value of what `serialize_value` made."""
        return xcom_codec.from_json(orjson.loads(result.value))

    def orm_deserialize_value(self) -> Any:
        """What Airflow shows of a value. Not called here: people see what is stored, no code of the author's runs."""
        raise NotImplementedError("values of a back end are shown as they are stored")

    @staticmethod
    def purge(xcom: StoredXCom, *args: Any, **kwargs: Any) -> None:
        """Called in a task before one of its values goes: delete what it points to. The task runs again, or it asks
        for that (`XCom.clear`, `XCom.delete`).
        """


def purge(encoded: EncodedValue, facts: Mapping[str, Any]) -> None:
    """Has the back end delete what the stored value points to. Raises XComError where that fails."""
    backend = _backend()
    if encoded.codec != CODEC_CUSTOM or backend.purge is BaseXCom.purge:
        return
    try:
        backend.purge(StoredXCom(encoded.data, **facts))
    except Exception as why:
        raise XComError(f"{backend.__name__}.purge failed: {type(why).__name__}: {why}") from why


def _all_facts(given: Mapping[str, Any]) -> dict[str, Any]:
    """The facts, completed from the attempt that is running."""
    current = current_attempt.get(None)
    known: dict[str, Any] = {}
    if current is not None:
        run, key = current.attempt.run, current.attempt.key
        known = {"task_id": key.task_id, "dag_id": run.dag_id, "run_id": run.dag_run_id, "map_index": key.map_index}
    return {**known, **given}


def _encode_json(value: object, where: str) -> EncodedValue:
    try:
        marked = xcom_codec.to_json(value, where)
    except XComError as why:
        if not current_defaults().xcom_pickling:
            raise
        return _pickled(value, where, why)
    try:
        data = kept_json(marked)
    except (TypeError, orjson.JSONEncodeError) as why:
        raise XComError(f"{where} cannot be stored: {why}") from why
    return EncodedValue(CODEC_JSON if marked is value else CODEC_TYPED_JSON, data)


def _pickled(value: object, where: str, because: XComError) -> EncodedValue:
    try:
        data = pickle.dumps(value)
    except Exception as why:
        raise XComError(f"{because}; nor can it be pickled: {type(why).__name__}: {why}") from why
    log.warning("%s is stored as a pickle (core.enable_xcom_pickling): reading it runs code that it names", where)
    return EncodedValue(CODEC_PICKLE, data)


def _unpickle(data: bytes) -> Any:
    if not current_defaults().xcom_pickling:
        raise XComError("a stored value is a pickle; it is read only with core.enable_xcom_pickling = true")
    try:
        return pickle.loads(data)  # noqa: S301 - switched on by whoever runs the system
    except Exception as why:
        raise XComError(f"a pickled value cannot be read: {type(why).__name__}: {why}") from why


def _bytes_of(backend: type[BaseXCom], value: object, facts: Mapping[str, Any], where: str) -> bytes:
    function = backend.serialize_value
    parameters = inspect.signature(function).parameters
    if not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        facts = {name: fact for name, fact in facts.items() if name in parameters}
    try:
        made: object = function(value, **facts)
    except XComError:
        raise
    except Exception as why:
        raise XComError(f"{backend.__name__}.serialize_value failed for {where}: {type(why).__name__}: {why}") from why
    if isinstance(made, str):
        return made.encode()
    if isinstance(made, (bytes, bytearray)):
        return bytes(made)
    return orjson.dumps(xcom_codec.to_json(made, where))


def has_backend() -> bool:
    """Whether values go through a class of one's own."""
    return bool(current_defaults().xcom_backend)


def _backend() -> type[BaseXCom]:
    path = current_defaults().xcom_backend
    return _load(path) if path else BaseXCom


@functools.cache
def _load(path: str) -> type[BaseXCom]:
    module, _, name = path.rpartition(".") if ":" not in path else path.partition(":")
    try:
        found: object = pkgutil.resolve_name(f"{module}:{name}")
    except (ImportError, AttributeError, ValueError) as why:
        raise ConfigError(f"xcom_backend {path!r} cannot be imported: {why}") from why
    if not (isinstance(found, type) and issubclass(found, BaseXCom)):
        raise ConfigError(f"xcom_backend {path!r} is no subclass of BaseXCom")
    return found
