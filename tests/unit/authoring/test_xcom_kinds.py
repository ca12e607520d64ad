"""XCom values of every kind that is promised: they come back as they went in, type and all."""

from __future__ import annotations

import pickle
from collections import OrderedDict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from fractions import Fraction
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any
from zoneinfo import ZoneInfo

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.authoring.stored_objects import Cargo, Crew, Mission, Money, Opaque, Rights
from tradewind.authoring import xcom
from tradewind.authoring.defaults import AuthoringDefaults, use_defaults
from tradewind.bundles.parse_protocol import defaults_from_json, defaults_to_json
from tradewind.model.errors import XComError
from tradewind.model.outcomes import CODEC_PICKLE, CODEC_TYPED_JSON, EncodedValue

np: Any = pytest.importorskip("numpy")
pd: Any = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

BERLIN = ZoneInfo("Europe/Berlin")


def through(value: object) -> Any:
    return xcom.decode(xcom.encode(value))


zones = st.sampled_from([None, UTC, BERLIN, ZoneInfo("EST5EDT"), timezone(timedelta(hours=5, minutes=30))])


@given(zones.flatmap(lambda zone: st.datetimes(timezones=st.just(zone), allow_imaginary=True)))
def test_datetimes(at: datetime) -> None:
    back = through(at)
    assert (back, back.utcoffset(), str(back.tzinfo)) == (at, at.utcoffset(), str(at.tzinfo))


@pytest.mark.spec("1:X4", "2:T-23")
@given(
    st.recursive(
        st.text(st.characters(exclude_categories=()), max_size=4) | st.integers() | st.fractions() | st.booleans(),
        lambda inner: st.tuples(inner, inner) | st.lists(inner, max_size=3),
        max_leaves=8,
    )
)
def test_texts_with_lone_surrogates_and_nested_tuples(value: Any) -> None:
    assert through(value) == value


KINDS: list[Any] = [
    "\ud800",
    {"\udfff": 1},
    2**5000,
    -(2**64),
    Fraction(1, 3),
    range(1, 9, 2),
    PurePosixPath("/a"),
    PureWindowsPath("c:/a"),
    BERLIN,
    UTC,
    timezone(timedelta(hours=-3)),
    time(1, 2, tzinfo=BERLIN),
    datetime(2026, 3, 29, 2, 30, fold=1, tzinfo=BERLIN),
    pendulum.duration(days=2, seconds=3),
    pendulum.Date(2026, 1, 2),
    pendulum.Time(1, 2, 3),
    pendulum.datetime(2026, 10, 25, 2, 30, tz="Europe/Berlin", fold=1),
    pendulum.timezone("Europe/Berlin"),
    Cargo("iron", 2.5, (1, 2)),
    Crew(callsign="neil", born=date(1930, 8, 5), badge=b"\xff"),
    Mission(title="11", crew=[Crew(callsign="buzz", born=date(1930, 1, 20))]),
    Rights.READ,
    Rights.READ | Rights.WRITE,
    np.int8(5),
    np.float32(0.5),
    np.bool_(True),
    np.str_("x"),
    np.datetime64("2026-01-02T03:04:05.000000006"),
    np.timedelta64(5, "h"),
    np.longdouble(1) / 3,
    pd.Timestamp("2026-01-02 03:04:05.000000006"),
    pd.Timestamp("2026-07-01 12:00", tz="Europe/Berlin"),
    pd.Timedelta("1 days 00:00:00.000000001"),
]


@pytest.mark.parametrize("value", KINDS, ids=lambda value: type(value).__name__)
def test_kinds(value: Any) -> None:
    encoded = xcom.encode({"in": [value]})
    assert encoded.codec == CODEC_TYPED_JSON
    back = xcom.decode(encoded)["in"][0]
    assert back == value
    assert type(back) is type(value)
    assert xcom.readable(encoded)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.zeros((0, 2), dtype=np.float32),
        np.arange(5000, dtype=np.uint16),
        np.array(["a", "bc"]),
        np.array([b"x"]),
        np.array(["2026-01-01"], dtype="datetime64[D]"),
        np.array([(1, 2.5)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array([{1}, None, "x"], dtype=object),
        np.array(3.5),
    ],
    ids=lambda array: str(array.dtype),
)
def test_arrays(array: Any) -> None:
    encoded = xcom.encode(array)
    back = xcom.decode(encoded)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    assert np.array_equal(back, array)
    assert xcom.readable(encoded) is not None


def test_tables() -> None:
    frame = pd.DataFrame(
        {"n": [1, 2], "at": pd.to_datetime(["2026-01-01", None], utc=True), "t": ["a", None]},
        index=pd.Index(["x", "y"], name="id"),
    )
    pd.testing.assert_frame_equal(through({"f": frame})["f"], frame)
    for series in (pd.Series([1.5, None], name="s"), pd.Series(["a"], index=[7])):
        pd.testing.assert_series_equal(through(series), series)
    assert xcom.readable(xcom.encode(frame)) == "<pandas DataFrame of 2 rows>"
    assert [value is back for value, back in zip([pd.NaT, pd.NA], through([pd.NaT, pd.NA]), strict=True)] == [
        True,
        True,
    ]
    with pytest.raises(XComError, match=r"value\['f'\] is a pandas DataFrame with values that cannot be stored"):
        xcom.encode({"f": pd.DataFrame({"a": [1, "x", {2}]})})


def test_subclasses_of_plain_types_come_back_plain() -> None:
    plain: list[Any] = [OrderedDict[str, int](a=1), deque([1])]
    assert through(plain) == [{"a": 1}, [1]]


def test_a_class_that_writes_itself() -> None:
    assert through([Money(5)])[0].cents == 5


ADVICE: list[tuple[object, str]] = [
    ((n for n in range(2)), "make a list"),
    ({"a": 1}.keys(), "make a list"),
    (print, "functions and classes cannot"),
]


@pytest.mark.parametrize(("value", "advice"), ADVICE)
@pytest.mark.spec("1:X4")
def test_advice_with_what_cannot_be_stored(value: object, advice: str) -> None:
    with pytest.raises(XComError, match=advice):
        xcom.encode(value)


def test_classes_that_may_be_read() -> None:
    stored = xcom.encode(Cargo("iron", 1))
    for allowed in (("tests.*",), ("other.*", "*.stored_objects.Cargo")):
        with use_defaults(AuthoringDefaults(xcom_allowed_classes=allowed)):
            assert xcom.decode(stored) == Cargo("iron", 1)
    with (
        use_defaults(AuthoringDefaults(xcom_allowed_classes=("other.*",))),
        pytest.raises(XComError, match=r"stored_objects\.Cargo, which is not in the list.*allowed_deserialization"),
    ):
        xcom.decode(stored)
    in_dag_file = stored.data.replace(b"tests.unit.authoring.stored_objects", b"tradewind_dag_0123456789ab_ships")
    with (
        use_defaults(AuthoringDefaults(xcom_allowed_classes=("ships.*",))),
        pytest.raises(XComError, match="cannot be found"),
    ):
        xcom.decode(EncodedValue(CODEC_TYPED_JSON, in_dag_file))


def test_settings_reach_workers() -> None:
    defaults = AuthoringDefaults(xcom_allowed_classes=("a.*", "b.C"), xcom_pickling=True)
    assert defaults_from_json(defaults_to_json(defaults)) == defaults


def test_a_class_that_has_changed_is_named() -> None:
    stored = xcom.encode(Rights.READ)
    with pytest.raises(XComError, match=r"stored enum of class tests.unit.authoring.stored_objects.Rights cannot be"):
        xcom.decode(stored._replace(data=stored.data.replace(b"READ", b"GONE")))


@pytest.mark.spec("1:X4", "1:E17")
def test_pickle_only_where_switched_on(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(XComError, match="Opaque, which cannot be stored"):
        xcom.encode(Opaque("x"))
    with use_defaults(AuthoringDefaults(xcom_pickling=True)):
        stored = xcom.encode(Opaque("x"), where="the result of task 't'")
        assert stored.codec == CODEC_PICKLE
        assert "the result of task 't' is stored as a pickle" in caplog.text
        assert xcom.decode(stored).text == "x"
        assert xcom.encode([1]).codec != CODEC_PICKLE
        with pytest.raises(XComError, match="nor can it be pickled"):
            xcom.encode(lambda: 1)
        with pytest.raises(XComError, match="cannot be read: UnpicklingError"):
            xcom.decode(EncodedValue(CODEC_PICKLE, b"x"))
    assert xcom.readable(stored) == f"<pickled, {len(pickle.dumps(Opaque('x'))):,} bytes>"
    with pytest.raises(XComError, match=r"only with core\.enable_xcom_pickling"):
        xcom.decode(stored)
