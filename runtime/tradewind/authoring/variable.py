"""`Variable`: settings that DAGs share, kept by the system."""

from __future__ import annotations

import json
from typing import Any, Final

from tradewind.authoring.access import current_attempt
from tradewind.authoring.look_ups import asks_system_first, from_environment, reads, services, set_variable
from tradewind.authoring.masking import mask_secret

_REQUIRED: Final[Any] = object()


class Variable:
    """Named texts. `TRADEWIND_VAR_<KEY>` or `AIRFLOW_VAR_<KEY>` in the environment wins over what is stored."""

    @staticmethod
    def get(key: str, default_var: Any = _REQUIRED, deserialize_json: bool = False, *, default: Any = _REQUIRED) -> Any:
        """The variable's text, or the value that its JSON text stands for.

        `default_var` (or `default`) is returned where there is no such variable; without one that
        raises KeyError. Raises ValueError for a text that is no JSON.
        """
        text = _text(key)
        if text is None:
            return _default(key, default if default_var is _REQUIRED else default_var)
        return _read(key, text, as_json=deserialize_json)

    @staticmethod
    async def aget(key: str, default: Any = _REQUIRED, *, deserialize_json: bool = False) -> Any:
        """`get` for code on an event loop."""
        found = from_environment("VAR", key)
        running = current_attempt.get(None)
        if running is None:
            import asyncio  # not at the top: DAG files do without

            text = await asyncio.to_thread(_text, key)
        else:
            text = None if found is None or asks_system_first() else found[0]
            if text is None:
                text = await running.services.variable_get(key)
            if text is None and found is not None:
                text = found[0]
        if text is None:
            return _default(key, default)
        return _read(key, text, as_json=deserialize_json)

    @staticmethod
    def set(key: str, value: Any, description: str | None = None, serialize_json: bool = False) -> None:
        """Stores a variable as text, or as JSON. Without a description the one that is there stays."""
        text = json.dumps(value) if serialize_json else str(value)
        mask_secret(text, key)
        set_variable(key, text, description)

    @staticmethod
    def update(key: str, value: Any, serialize_json: bool = False) -> None:
        """`set` for a variable that exists. Raises KeyError where it does not."""
        Variable.get(key)
        Variable.set(key, value, serialize_json=serialize_json)

    @staticmethod
    def setdefault(key: str, default: Any, description: str | None = None, deserialize_json: bool = False) -> Any:
        """The variable, stored with `default` first where it is missing."""
        found = Variable.get(key, None, deserialize_json)
        if found is not None:
            return found
        if default is None:
            raise ValueError(f"variable {key!r} is missing, and a default of None cannot be stored")
        Variable.set(key, default, description, deserialize_json)
        return default

    @staticmethod
    def delete(key: str) -> bool:
        """Deletes a stored variable. False: there was none."""
        running = services()
        existed = running is not None and running.variable_get(key) is not None
        if existed:
            set_variable(key, None)
        return existed


class VariableAccessor:
    """`var.value` and `var.json` of templates: `var.value.name`, `var.value.get('name', default)`."""

    __slots__ = ("_json",)

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json

    def __getattr__(self, key: str) -> Any:
        if key.startswith("__"):
            raise AttributeError(key)
        return Variable.get(key, deserialize_json=self._json)

    def __getitem__(self, key: str) -> Any:
        return Variable.get(key, deserialize_json=self._json)

    def get(self, key: str, default_var: Any = _REQUIRED) -> Any:
        """The variable, or the default where there is none."""
        return Variable.get(key, default_var, self._json)

    def __repr__(self) -> str:
        return "<variables as JSON>" if self._json else "<variables>"


def _text(key: str) -> str | None:
    found = from_environment("VAR", key)
    if found is not None and not asks_system_first():
        return found[0]
    running = reads()
    text = None if running is None else running.variable_get(key)
    return found[0] if text is None and found is not None else text


def _default(key: str, default: Any) -> Any:
    if default is _REQUIRED:
        raise KeyError(f"Variable {key} does not exist")
    return default


def _read(key: str, text: str, *, as_json: bool) -> Any:
    """The text, or the value that it stands for. What is secret by its name is masked from now on."""
    mask_secret(text, key)
    if not as_json:
        return text
    value = _decoded(key, text)
    mask_secret(value, key)
    return value


def _decoded(key: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"variable {key!r} is no JSON ({error}); read it as text, or store JSON") from error
