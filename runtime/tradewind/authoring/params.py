"""Params: the inputs of a run, with a default, a description and a JSON schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any, Final

from tradewind.model.errors import ParamValidationError
from tradewind.model.specs import Json


class _NoValue:
    """The default of a param that has none: every run must give one."""

    def __repr__(self) -> str:
        return "NO_VALUE"


NO_VALUE: Final = _NoValue()


class Param:
    """One input: `Param(3, "how many", type="integer", minimum=1)`.

    Everything after the description is JSON schema. Without a schema any JSON value fits.
    """

    __slots__ = ("description", "schema", "value")

    def __init__(
        self,
        default: object = NO_VALUE,
        description: str | None = None,
        *,
        schema: Mapping[str, Json] | None = None,
        **more_schema: Json,
    ) -> None:
        self.value: Any = default
        self.description = description
        self.schema: dict[str, Json] = {**(schema or {}), **more_schema}

    @property
    def has_value(self) -> bool:
        """Whether there is a default. None counts where the schema allows null or says nothing."""
        if self.value is NO_VALUE:
            return False
        return self.value is not None or not self.schema or "null" in _types(self.schema) or "type" not in self.schema

    def resolve(self, value: object = NO_VALUE, name: str = "") -> Any:
        """The value to use: `value`, else the default. Raises ParamValidationError where it does not fit."""
        chosen = self.value if value is NO_VALUE else value
        check_value(name, chosen, self.schema)
        return chosen

    def to_spec(self) -> dict[str, Json]:
        """The JSON form: value (missing where there is none), schema, description."""
        spec: dict[str, Json] = {"schema": self.schema}
        if self.value is not NO_VALUE:
            spec["value"] = self.value
        if self.description is not None:
            spec["description"] = self.description
        return spec

    def __repr__(self) -> str:
        return f"Param({self.value!r}, schema={self.schema!r})"


def _types(schema: Mapping[str, Json]) -> list[Json]:
    kinds: Json = schema.get("type", [])
    return [kinds] if isinstance(kinds, str) else list(kinds)


class ParamsDict(MutableMapping[str, Any]):
    """Params by name. Reading gives the value, writing replaces it (and keeps the schema)."""

    __slots__ = ("_params",)

    def __init__(self, params: Mapping[str, Any] | None = None) -> None:
        self._params: dict[str, Param] = {}
        for name, value in (params or {}).items():
            self._params[name] = value if isinstance(value, Param) else Param(value)

    def __getitem__(self, name: str) -> Any:
        return self._params[name].value

    def __setitem__(self, name: str, value: object) -> None:
        if isinstance(value, Param):
            self._params[name] = value
        elif name in self._params:
            old = self._params[name]
            self._params[name] = Param(value, old.description, schema=old.schema)
        else:
            self._params[name] = Param(value)

    def __delitem__(self, name: str) -> None:
        del self._params[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._params)

    def __len__(self) -> int:
        return len(self._params)

    def __repr__(self) -> str:
        return repr(self.dump())

    def get_param(self, name: str) -> Param:
        """The param itself, with its schema. Raises KeyError."""
        return self._params[name]

    def params(self) -> Iterable[tuple[str, Param]]:
        """Names and params, in order of definition."""
        return self._params.items()

    def merged(self, other: ParamsDict) -> ParamsDict:
        """These params with those of `other` over them."""
        both = ParamsDict()
        both._params = {**self._params, **other._params}
        return both

    def dump(self) -> dict[str, Any]:
        """Plain values by name; params without a value are left out."""
        return {name: param.value for name, param in self._params.items() if param.value is not NO_VALUE}

    def validate(self) -> dict[str, Any]:
        """Plain values by name, all checked. Raises ParamValidationError for the first that does not fit."""
        return {name: param.resolve(name=name) for name, param in self._params.items()}

    def to_spec(self) -> dict[str, Json]:
        """The JSON form that `values_for_run` reads."""
        return {name: param.to_spec() for name, param in self._params.items()}


def check_value(name: str, value: object, schema: Mapping[str, Json]) -> None:
    """Raises ParamValidationError where `value` is missing or does not fit `schema`."""
    if value is NO_VALUE:
        raise ParamValidationError(f"param {name!r} has no default, so every run must give it a value")
    if not schema:
        return
    import jsonschema

    try:
        jsonschema.validate(value, dict(schema), format_checker=jsonschema.FormatChecker())
    except jsonschema.ValidationError as why:
        place = "".join(f"[{step!r}]" for step in why.absolute_path)
        raise ParamValidationError(f"param {name!r}{place}: {why.message}") from None
    except jsonschema.SchemaError as why:
        raise ParamValidationError(f"param {name!r}: its own schema is not JSON schema: {why.message}") from None


def values_for_run(params: Mapping[str, Json], conf: Mapping[str, Json] | None) -> dict[str, Json]:
    """The params of a run: `DagSpec.params` with the run's conf over the defaults, all checked.

    Keys of the conf that are no param are passed on unchecked. Raises ParamValidationError naming the param.
    """
    given = dict(conf or {})
    values: dict[str, Json] = {}
    for name, spec in params.items():
        value: object = given.pop(name) if name in given else spec.get("value", NO_VALUE)
        check_value(name, value, spec.get("schema") or {})
        values[name] = value
    return {**values, **given}
