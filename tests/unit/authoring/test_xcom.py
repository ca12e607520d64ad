"""XCom values: what goes in comes out, what cannot be stored is named."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.authoring.stored_kinds import Colour, Launch, Place
from tradewind.authoring import xcom
from tradewind.authoring.defaults import AuthoringDefaults, use_defaults
from tradewind.authoring.xcom_arg import XComArg, iter_xcom_refs, resolve
from tradewind.model.errors import ConfigError, XComError
from tradewind.model.outcomes import CODEC_CUSTOM, CODEC_JSON, CODEC_TYPED_JSON, EncodedValue
from tradewind.standard.empty import EmptyOperator
from tradewind.standard.python import PythonOperator

texts = st.text('ab\x00\n"\\é€😀_', max_size=6) | st.sampled_from(["__type__", "value"])
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
finite = st.decimals(allow_nan=False, allow_infinity=False)
hashable = scalars | st.binary(max_size=4) | finite | st.dates() | st.uuids()
values = st.recursive(
    hashable | st.timedeltas() | st.times() | st.datetimes() | st.complex_numbers(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(texts, inner, max_size=4)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.sets(hashable, max_size=4)
        | st.frozensets(hashable, max_size=3)
    ),
    max_leaves=12,
)


def through(value: object) -> Any:
    return xcom.decode(xcom.encode(value))


def shape(value: Any) -> Any:
    """The value with the type of everything in it, for comparisons that `1 == True` must not pass."""
    kind = type(value).__name__
    if kind in ("list", "tuple"):
        return kind, [shape(item) for item in value]
    if kind == "dict":
        return kind, [(shape(key), shape(item)) for key, item in value.items()]
    return kind, repr(value) if kind in ("float", "complex") else value


@given(values)
def test_what_goes_in_comes_out(value: Any) -> None:
    assert shape(through(value)) == shape(value)


@given(st.recursive(st.none() | st.integers(-(2**53), 2**53) | texts, lambda inner: st.lists(inner, max_size=3)))
def test_plain_values_are_plain_json(value: Any) -> None:
    assert xcom.encode(value).codec == CODEC_JSON


@pytest.mark.parametrize(
    "value",
    [
        datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        time(1, 2, 3),
        date(2026, 1, 1),
        timedelta(days=-1, microseconds=1),
        Decimal("1.10"),
        UUID(int=7),
        b"\x00\xff",
        bytearray(b"ab"),
        Path("/a/b"),
        2**80,
        {1: {2, 3}, (1, 2): frozenset({"a"})},
        {"__type__": "datetime", "value": "not one"},
        Launch("apollo", datetime(2026, 1, 1, tzinfo=UTC), ["a.png"]),
        Place(1, 2),
        Colour.RED,
        float("inf"),
    ],
)
def test_kinds(value: Any) -> None:
    encoded = xcom.encode({"in": [value]})
    assert encoded.codec == CODEC_TYPED_JSON
    back = xcom.decode(encoded)["in"][0]
    assert back == value
    assert type(back) is type(value)


def test_zones_and_pendulum_are_kept() -> None:
    berlin = through(datetime(2026, 7, 1, 12, tzinfo=ZoneInfo("Europe/Berlin")))
    assert (berlin.hour, berlin.tzinfo) == (12, ZoneInfo("Europe/Berlin"))
    moment = pendulum.datetime(2026, 7, 1, 12, tz="Europe/Berlin")
    back = through(moment)
    assert isinstance(back, pendulum.DateTime)
    assert (back, back.timezone_name) == (moment, "Europe/Berlin")
    assert math.isnan(through(float("nan")))


class Awaited:
    """As a coroutine is, that nobody has awaited."""

    __module__ = "tradewind_dag_0123456789ab_test_xcom"

    def __await__(self) -> Iterator[None]:
        yield


@pytest.mark.parametrize(
    ("value", "facts"),
    [
        ({"rows": [1, object()]}, ["value['rows'][1]", "builtins.object"]),
        (threading.Lock(), ["lock", "not JSON serializable"]),
        (lambda: 1, ["function"]),
        ({"f": Path("/tmp").open}, ["value['f']"]),
        (Awaited(), ["write `await` before the call", "of type test_xcom.Awaited,"]),
    ],
)
def test_what_cannot_be_stored_is_named(value: object, facts: list[str]) -> None:
    with pytest.raises(XComError) as failure:
        xcom.encode(value)
    for fact in facts:
        assert fact in str(failure.value)


def test_a_value_that_contains_itself() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(XComError, match="contains itself"):
        xcom.encode(loop)


def test_a_local_class_is_refused_when_written() -> None:
    class Local(Place):
        pass

    with pytest.raises(XComError, match="inside a function"):
        xcom.encode(Local(1, 2))


def test_reading_only_builds_classes_for_data() -> None:
    planted = b'{"__type__": "dataclass", "class": "subprocess:Popen", "value": {"args": ["true"]}}'
    with pytest.raises(XComError, match="no class for stored values"):
        xcom.decode(EncodedValue(CODEC_TYPED_JSON, planted))
    with pytest.raises(XComError, match="cannot be found"):
        xcom.decode(EncodedValue(CODEC_TYPED_JSON, planted.replace(b"subprocess:Popen", b"nowhere:Nothing")))
    with pytest.raises(XComError, match="unknown codec 9"):
        xcom.decode(EncodedValue(9, b""))


def test_people_read_values_without_their_classes() -> None:
    value = {"at": [datetime(2026, 1, 1, tzinfo=UTC)], "l": Launch("x", datetime(2026, 1, 1, tzinfo=UTC)), 1: {2}}
    assert xcom.readable(xcom.encode(value)) == {
        "at": ["2026-01-01T00:00:00+00:00"],
        "l": {"name": "x", "at": "2026-01-01T00:00:00+00:00", "images": []},
        "1": [2],
    }


def test_the_size_is_limited() -> None:
    with use_defaults(AuthoringDefaults(xcom_max_bytes=100)):
        xcom.encode("x" * 90)
        with pytest.raises(XComError, match=r"202 bytes encoded, more than the 100 allowed"):
            xcom.encode("x" * 200)


def test_back_ends_of_ones_own() -> None:
    module = "tests.unit.authoring.stored_kinds"
    with use_defaults(AuthoringDefaults(xcom_backend=f"{module}.Reversed")):
        encoded = xcom.encode({"a": {1}}, facts={"key": "k"})
        assert encoded.codec == CODEC_CUSTOM
        assert xcom.decode(encoded) == {"a": {1}}
    with use_defaults(AuthoringDefaults(xcom_backend=f"{module}:WithFacts")):
        encoded = xcom.encode(5, facts={"key": "k", "task_id": "t"})
        assert xcom.decode(encoded) == "t/k=5"
    for wrong in (f"{module}.Launch", f"{module}.Nothing", "nowhere.X"):
        with use_defaults(AuthoringDefaults(xcom_backend=wrong)), pytest.raises(ConfigError, match="xcom_backend"):
            xcom.encode(1)


def test_puts_of_a_result() -> None:
    def puts(value: object, **arguments: Any) -> dict[str, Any]:
        operator = PythonOperator(task_id="t", python_callable=print, **arguments)
        return {put.key: xcom.decode(put.value) for put in xcom.puts_of(operator, value)}

    assert puts(None) == {}
    assert puts(1, do_xcom_push=False) == {}
    assert puts({"a": 1, "b": (2,)}) == {"return_value": {"a": 1, "b": (2,)}}
    assert puts({"a": 1, "b": (2,)}, multiple_outputs=True) == {"return_value": {"a": 1, "b": (2,)}, "a": 1, "b": (2,)}
    with pytest.raises(XComError, match="has to return a dict, not int"):
        puts(1, multiple_outputs=True)
    with pytest.raises(XComError, match="keys have to be texts, not 1"):
        puts({1: 1}, multiple_outputs=True)


def test_references_are_found_and_replaced_at_any_depth() -> None:
    one, two = EmptyOperator(task_id="one").output, XComArg(EmptyOperator(task_id="two"), "k")
    plain = [1, {"a": (2, {3})}]
    nested = {"x": [one, (two, Place(one, 2)), plain], "y": "text"}
    assert list(iter_xcom_refs(nested)) == [one, two, one]
    resolved: Any = resolve(nested, {one: 1, two: "b"}.__getitem__)
    assert resolved == {"x": [1, ("b", Place(1, 2)), plain], "y": "text"}
    assert resolved["x"][2] is plain
    assert nested["x"][0] is one


def test_a_reference_as_text_is_its_template() -> None:
    ref = EmptyOperator(task_id="one").output
    assert f"{ref}" == "{{ task_instance.xcom_pull(task_ids='one') }}"
    assert f"{ref['k']}" == "{{ task_instance.xcom_pull(task_ids='one', key='k') }}"
    with pytest.raises(TypeError, match="'one': its result is not there"):
        list(ref)
