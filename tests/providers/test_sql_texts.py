"""How SQL texts are split, and values put into them."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

import asyncpg
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind_providers.postgres.literals import literal, with_parameters
from tradewind_providers.sql.splitting import split_sql_string

PIECES = [
    "select 1",
    "select 'a;b', 'it''s'",
    'select ";" from "x;""y"',
    "select E'a\\';b'",
    "select 1 -- one; not two\n + 1",
    "select /* a; /* b; */ c; */ 2",
    "do $$ begin perform 1; end $$",
    "do $body$ select '$$;'; $body$",
    "create function f() returns int language sql begin atomic select case when true then 1 else 2 end; end",
    "select $1; select 'x'".partition(";")[0],
]


@given(st.lists(st.sampled_from(PIECES), max_size=5))
def test_statements_are_separated_by_their_semicolons_only(pieces: list[str]) -> None:
    assert split_sql_string(";\n".join(pieces)) == pieces
    assert split_sql_string("; ;".join([*pieces, " -- the end"])) == pieces


@given(st.text())
def test_any_text_can_be_split(text: str) -> None:
    for piece in split_sql_string(text):
        assert piece.strip() == piece
        assert piece in text


def test_parameters() -> None:
    assert with_parameters("select 100 % 7", None) == "select 100 % 7"
    assert with_parameters("select %s %% %s", (1, "a")) == "select 1 % 'a'"
    assert with_parameters("select %(a)s, %(a)s", {"a": None, "b": 1}) == "select NULL, NULL"
    assert with_parameters("select %s", ("%s",)) == "select '%s'", "values are no text to put values into"
    for sql, parameters, message in (
        ("select %s", (), "more %s than there are"),
        ("select 1", (1,), "more parameters than %s"),
        ("select %(b)s", {"a": 1}, "not given"),
        ("select %s", {"a": 1}, "its parameters have names"),
        ("select %(a)s", (1,), "not given"),
        ("select %d", (1,), r"'%d' in the statement"),
        ("like '%'", (), "in the statement"),
    ):
        with pytest.raises(ValueError, match=message):
            with_parameters(sql, parameters)


class Colour(Enum):
    RED = "red"


def test_literals() -> None:
    assert literal(Colour.RED) == "'red'"
    assert literal(True) == "true"
    assert (literal(-5), literal(-1.5), literal(Decimal("-2.50"))) == (" -5", " -1.5", " -2.50")
    assert literal(np.int64(7)) == "7"
    assert literal((1, "a")) == "(1, 'a')"
    with pytest.raises(ValueError, match="NUL"):
        literal("a\0b")
    with pytest.raises(TypeError, match="a value of type object"):
        literal(object())


VALUES = st.one_of(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20),
    st.binary(max_size=10),
    st.integers(-(2**62), 2**62),
    st.floats(),
    st.booleans(),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9),
    st.dates(date(1, 1, 1)),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.times(),
    st.timedeltas(timedelta(days=-1000), timedelta(days=1000)),
    st.uuids(),
    st.lists(st.integers(-5, 5), min_size=1, max_size=3),
)
_CASTS: list[tuple[type, str]] = [(bool, "bool"), (int, "int8"), (float, "float8"), (Decimal, "numeric"), (str, "text")]


@pytest.mark.blocks_the_loop
@pytest.mark.parametrize("standard", ["on", "off"])
async def test_what_goes_in_comes_out(postgres_url: str, standard: str) -> None:
    """Whatever the server takes backslashes for."""
    session = await asyncpg.connect(postgres_url)
    await session.execute(f"set standard_conforming_strings = {standard}; set escape_string_warning = off")
    wanted: list[Any] = []

    @settings(max_examples=150, deadline=None)
    @given(VALUES)
    def collect(value: Any) -> None:
        wanted.append(value)

    collect()
    for value in [*wanted, "\\", "'", "\\'", "'\\", "--", "/*", "%s", "$$", "", uuid.UUID(int=0), time(1, tzinfo=UTC)]:
        cast = next((f"::{name}" for kind, name in _CASTS if isinstance(value, kind)), "")
        found = await session.fetchval(with_parameters(f"select (%s){cast}", (value,)))
        if isinstance(value, float) and math.isnan(value):
            assert math.isnan(found)
        else:
            assert found == value, (value, literal(value))
        if isinstance(value, datetime):
            assert found.tzinfo == value.tzinfo
    await session.close()
