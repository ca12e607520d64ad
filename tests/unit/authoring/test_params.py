"""Params: defaults, schemas, the conf of a run."""

from __future__ import annotations

from typing import Any

import pytest

from tradewind.authoring.params import Param, ParamsDict, values_for_run
from tradewind.model.errors import ParamValidationError


def spec(**params: Any) -> dict[str, Any]:
    return ParamsDict(params).to_spec()


def test_the_conf_goes_over_the_defaults() -> None:
    params = spec(n=Param(3, "how many", type="integer", minimum=1), plain="x", needed=Param(type="string"))
    assert params["n"] == {"value": 3, "schema": {"type": "integer", "minimum": 1}, "description": "how many"}
    assert values_for_run(params, {"needed": "y", "other": [1]}) == {"n": 3, "plain": "x", "needed": "y", "other": [1]}


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({"needed": "y", "n": 0}, r"'n': 0 is less than the minimum of 1"),
        ({"needed": "y", "n": "3"}, r"'n': '3' is not of type 'integer'"),
        ({}, r"'needed' has no default"),
        ({"needed": 5}, r"'needed': 5 is not of type 'string'"),
    ],
)
def test_a_conf_that_does_not_fit_is_named(conf: dict[str, Any], message: str) -> None:
    params = spec(n=Param(3, type="integer", minimum=1), needed=Param(type="string"))
    with pytest.raises(ParamValidationError, match=message):
        values_for_run(params, conf)


def test_places_inside_and_formats() -> None:
    rows = Param([1], schema={"items": {"type": "number"}})
    params = spec(at=Param("2026-01-01", type="string", format="date"), rows=rows)
    with pytest.raises(ParamValidationError, match=r"'rows'\[1\]: 'x' is not of type 'number'"):
        values_for_run(params, {"rows": [1, "x"]})
    with pytest.raises(ParamValidationError, match="'at': 'today' is not a 'date'"):
        values_for_run(params, {"at": "today"})


def test_a_schema_that_is_none() -> None:
    with pytest.raises(ParamValidationError, match="its own schema is not JSON schema"):
        values_for_run(spec(n=Param(1, type="whole")), {})


def test_the_dict_of_params() -> None:
    params = ParamsDict({"n": Param(3, type="integer"), "m": 1})
    params["n"] = 4
    params["new"] = Param("x", "a text")
    assert params.get_param("n").schema == {"type": "integer"}
    assert dict(params) == {"n": 4, "m": 1, "new": "x"}
    with pytest.raises(ParamValidationError, match="'n'"):
        params.merged(ParamsDict({"n": Param("z", type="integer")})).validate()
    del params["n"]
    assert list(params) == ["m", "new"]
    assert (Param(None, type="string").has_value, Param(None, type=["null", "string"]).has_value) == (False, True)
