"""The Jinja environments of DAGs. Imported when the first template is rendered, for Jinja is not cheap to import."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import jinja2
import jinja2.nativetypes
import jinja2.sandbox

_MARKS: Final = {
    "block_start_string": "{%",
    "variable_start_string": "{{",
    "comment_start_string": "{#",
    "line_statement_prefix": None,
    "line_comment_prefix": None,
}


class TextEnvironment(jinja2.sandbox.SandboxedEnvironment):
    """Templates give texts. Names with one underscore are allowed, Python's internals are not."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may use this attribute."""
        del value
        return not jinja2.sandbox.is_internal_attribute(obj, attr)


class NativeEnvironment(TextEnvironment, jinja2.nativetypes.NativeEnvironment):
    """Templates give values: a single expression its own, a text what it reads as in Python."""


class _Scope(Mapping[str, Any]):
    """The context over the environment's globals; values are made only when a template asks for them."""

    __slots__ = ("_context", "_globals")

    def __init__(self, context: Mapping[str, Any], globals_: Mapping[str, Any]) -> None:
        self._context = context
        self._globals = globals_

    def __getitem__(self, name: str) -> Any:
        return self._context[name] if name in self._context else self._globals[name]

    def __contains__(self, name: object) -> bool:
        return name in self._context or name in self._globals

    def __iter__(self) -> Iterator[str]:
        yield from self._context
        yield from (name for name in self._globals if name not in self._context)

    def __len__(self) -> int:
        return len(self._context.keys() | self._globals.keys())

    def copy(self) -> dict[str, Any]:
        """What Jinja shows as the locals of a template in a traceback: nothing, for that would make every value."""
        return {}


@lru_cache(maxsize=2048)
def compiled(environment: jinja2.Environment, text: str) -> jinja2.Template:
    """The template of a text, compiled once."""
    return environment.from_string(text)


def evaluate(template: jinja2.Template, context: Mapping[str, Any]) -> Any:
    """What the template gives for a context, without touching the names that it does not use."""
    environment = template.environment
    scope: Any = _Scope(context, template.globals)
    try:
        parts = template.root_render_func(template.new_context(scope, shared=True))
        concat: Callable[[Iterable[Any]], Any] = environment.concat
        return concat(parts)
    except Exception:
        environment.handle_exception()


def changes_every_text(environment: jinja2.Environment) -> bool:
    """Whether even a text without Jinja's usual marks may come out different."""
    if isinstance(environment, jinja2.nativetypes.NativeEnvironment):
        return True
    return any(getattr(environment, name) != mark for name, mark in _MARKS.items())


def add_filters(environment: jinja2.Environment) -> None:
    """The date filters: `{{ logical_date | ds }}` and its like; None stays None."""
    filters: dict[str, Any] = environment.filters
    filters.update(ds=_ds, ds_nodash=_ds_nodash, ts=_ts, ts_nodash=_ts_nodash, ts_nodash_with_tz=_ts_nodash_with_tz)


def _ds(value: datetime | None) -> str | None:
    return None if value is None else value.strftime("%Y-%m-%d")


def _ds_nodash(value: datetime | None) -> str | None:
    return None if value is None else value.strftime("%Y%m%d")


def _ts(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def _ts_nodash(value: datetime | None) -> str | None:
    return None if value is None else value.strftime("%Y%m%dT%H%M%S")


def _ts_nodash_with_tz(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat().replace("-", "").replace(":", "")
