"""Rendering of Jinja templates in the fields of operators.

A field is rendered at every depth: texts in lists, tuples, dicts (values), sets, and in objects
that have `template_fields` of their own. A text that ends in one of the operator's `template_ext`
is read from that file, at run time. Texts without a template never reach Jinja.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol, cast
from weakref import WeakKeyDictionary

from tradewind.model.errors import AuthoringError

if TYPE_CHECKING:
    import jinja2

_MARKS: Final = ("{{", "{%", "{#")
_NOT_FOUND: Final = object()
_GIVEN: Final = "_given_values"
_OPERATORS: Final = "tradewind.authoring.operator"
_MARK_ARGUMENTS: Final = frozenset(
    {
        "block_start_string",
        "variable_start_string",
        "comment_start_string",
        "line_statement_prefix",
        "line_comment_prefix",
    }
)


class TemplateFailed(AuthoringError):
    """A template could not be rendered. The message names DAG, task, field and line."""


class TemplateSettings(Protocol):
    """The part of a DAG that says how its templates are rendered."""

    dag_id: str
    template_searchpath: tuple[str, ...]
    template_undefined: Any
    render_template_as_native_obj: bool
    user_defined_macros: dict[str, Any]
    user_defined_filters: dict[str, Any]
    jinja_environment_kwargs: dict[str, Any]

    @property
    def folder(self) -> str:
        """Folder of the file that defines the DAG; template files are looked for in it first."""
        ...


class LiteralValue:
    """A value that is handed on as it is, though it looks like a template or a template file."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"literal({self.value!r})"


class RunTimeValue(ABC):
    """A value that only a run has: rendering asks it with the attempt's context."""

    __slots__ = ()

    @abstractmethod
    def resolve(self, context: Mapping[str, Any]) -> Any:
        """The value in this run."""


def literal(value: Any) -> LiteralValue:
    """`bash_command=literal("echo {{ as it stands }}")` keeps the braces."""
    return LiteralValue(value)


def needs_rendering(operator: Any) -> bool:
    """Whether any template field of the operator holds a template, a template file or a literal.

    A class that renders in its own way is always asked.
    """
    if _renders_itself(operator):
        return True
    settings = _settings_of(operator)
    every_text = settings is not None and _touches_every_text(settings)
    extensions = tuple(getattr(operator, "template_ext", ()) or ())
    return any(
        value_needs_rendering(getattr(operator, name, None), extensions, every_text=every_text)
        for name in operator.template_fields
    )


def value_needs_rendering(value: Any, extensions: tuple[str, ...] = (), *, every_text: bool = False) -> bool:
    """Whether rendering could change the value. `every_text`: texts without marks count, too."""
    if isinstance(value, str):
        return every_text or any(mark in value for mark in _MARKS) or _is_file(value, extensions) or value[-1:] == "\n"
    if value is None or isinstance(value, (int, float)):
        return False
    if isinstance(value, Mapping):
        items: Iterable[object] = cast("Mapping[object, object]", value).values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        items = cast("Iterable[object]", value)
    elif isinstance(value, (LiteralValue, RunTimeValue)):
        return True
    else:
        return _has_fields(value)
    return any(value_needs_rendering(item, extensions, every_text=every_text) for item in items)


def render(operator: Any, context: Mapping[str, Any], *, given: Iterable[object] = ()) -> None:
    """Renders all template fields of an operator's copy for one attempt, in place.

    What is among `given` (values of other tasks) is left as it is: data, no template.

    Raises:
        TemplateFailed: a template is wrong, or its evaluation raised; the cause is chained.
    """
    if _renders_itself(operator):
        vars(operator)[_GIVEN] = tuple(given)
        operator.render_template_fields(context)
    else:
        render_fields(operator, context, given=given)


def render_fields(
    operator: Any,
    context: Mapping[str, Any],
    *,
    names: Iterable[str] | None = None,
    environment: jinja2.Environment | None = None,
    given: Iterable[object] | None = None,
) -> None:
    """`render` without a look at the class's own `render_template_fields`, of the fields `names` only."""
    settings = _settings_of(operator) or cast("TemplateSettings", context["dag"])
    extensions = tuple(getattr(operator, "template_ext", ()) or ())
    if given is None:
        given = cast("Iterable[object]", getattr(operator, _GIVEN, ()))
    renderer = Renderer(environment or environment_for(settings), context, extensions, given)
    for name in operator.template_fields if names is None else names:
        value = getattr(operator, name, _NOT_FOUND)
        if value is _NOT_FOUND:
            raise TemplateFailed(
                f"DAG {settings.dag_id!r}, task {operator.task_id!r}: {name!r} is configured as a template field, "
                f"but {type(operator).__name__} has no attribute of that name"
            )
        if not value:
            continue
        try:
            rendered = renderer.render(value)
        except Exception as error:
            line = template_line(error)
            place = f"DAG {settings.dag_id!r}, task {operator.task_id!r}, template field {name!r}"
            where = f"{place}, line {line}" if line is not None else place
            raise TemplateFailed(f"{where}: {type(error).__name__}: {_message(error, settings)}") from error
        if rendered is not value:
            setattr(operator, name, rendered)


def _renders_itself(operator: Any) -> bool:
    """Whether a subclass has replaced `render_template_fields`, as some provider packages do."""
    own: object = getattr(cast("object", operator).__class__, "render_template_fields", None)
    return own is not None and getattr(own, "__module__", "") != _OPERATORS


def render_object(value: Any, context: Mapping[str, Any]) -> None:
    """Renders the template fields of an object that is no task (a notifier), in place; errors are those of Jinja."""
    settings = cast("TemplateSettings | None", context.get("dag"))
    environment = environment_for(settings) if settings is not None else _plain_environment()
    renderer = Renderer(environment, context, tuple(getattr(value, "template_ext", ()) or ()))
    for name in value.template_fields:
        held = getattr(value, name, None)
        if held:
            setattr(value, name, renderer.render(held))


class Renderer:
    """Renders values of one attempt: an environment, a context and the extensions of template files."""

    __slots__ = ("_context", "_environment", "_extensions", "_given", "_seen")

    def __init__(
        self,
        environment: jinja2.Environment,
        context: Mapping[str, Any],
        extensions: Iterable[str] = (),
        given: Iterable[object] = (),
    ) -> None:
        self._environment = environment
        self._context = context
        self._extensions = tuple(extensions)
        self._seen: set[int] = set()
        self._given = frozenset(map(id, given))

    def render(self, value: Any) -> Any:
        """The value with everything in it rendered; the same object where nothing is to render."""
        if id(value) in self._given:
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, LiteralValue):
            return value.value
        if isinstance(value, RunTimeValue):
            return value.resolve(self._context)
        if isinstance(value, tuple):
            return self._tuple(cast("tuple[object, ...]", value))
        if isinstance(value, list):
            return [self.render(item) for item in cast("list[object]", value)]
        if isinstance(value, dict):
            return {key: self.render(item) for key, item in cast("dict[object, object]", value).items()}
        if isinstance(value, (set, frozenset)):
            items = cast("set[object]", value)
            return type(items)(self.render(item) for item in items)
        if _has_fields(value):
            return self._object(value)
        return value

    def _text(self, text: str) -> Any:
        environment = self._environment
        if _is_file(text, self._extensions):
            template = environment.get_template(text)
        elif plain_text(text, environment):
            return text
        else:
            template = _compiled(environment, text)
        return _evaluate(template, self._context)

    def _tuple(self, value: tuple[object, ...]) -> tuple[object, ...]:
        rendered = [self.render(item) for item in value]
        return type(value)(*rendered) if hasattr(value, "_fields") else tuple(rendered)

    def _object(self, value: Any) -> Any:
        """A copy of the object with its own template fields rendered; the DAG's object stays as written."""
        if id(value) in self._seen:
            return value
        self._seen.add(id(value))
        copied = copy.copy(value)
        for name in value.template_fields:
            setattr(copied, name, self.render(getattr(value, name)))
        return copied


def render_template(
    value: Any, context: Mapping[str, Any], dag: TemplateSettings, extensions: Iterable[str] = ()
) -> Any:
    """One value rendered the way the DAG renders its tasks' fields; errors are those of Jinja."""
    return Renderer(environment_for(dag), context, extensions).render(value)


_environments: WeakKeyDictionary[TemplateSettings, jinja2.Environment] = WeakKeyDictionary()


def environment_for(dag: TemplateSettings) -> jinja2.Environment:
    """The DAG's Jinja environment, made once: its search path, macros, filters and options."""
    found = _environments.get(dag)
    if found is None:
        found = _environments[dag] = _make_environment(dag)
    return found


def template_line(error: BaseException) -> int | None:
    """The line of the template that an error comes from, counted from 1; None where that is unknown."""
    line: int | None = getattr(error, "lineno", None)
    trace = error.__traceback__
    while trace is not None:
        if "__jinja_exception__" in trace.tb_frame.f_globals:
            line = trace.tb_lineno  # a frame that Jinja has put in the place of the generated code
        trace = trace.tb_next
    return line


def plain_text(text: str, environment: jinja2.Environment) -> bool:
    """Whether Jinja would give the text back as it is."""
    if _changes_every_text(environment):
        return False
    return not any(mark in text for mark in _MARKS) and "\r" not in text and text[-1:] != "\n"


def _make_environment(dag: TemplateSettings) -> jinja2.Environment:
    import jinja2

    from tradewind.authoring.template_environment import NativeEnvironment, TextEnvironment, add_filters

    options: dict[str, Any] = {
        "loader": jinja2.FileSystemLoader([dag.folder, *dag.template_searchpath]),
        "undefined": dag.template_undefined or jinja2.StrictUndefined,
        "extensions": ["jinja2.ext.do"],
        "cache_size": 0,
        **dag.jinja_environment_kwargs,
    }
    try:
        kind = NativeEnvironment if dag.render_template_as_native_obj else TextEnvironment
        environment: jinja2.Environment = kind(**options)
    except TypeError as error:
        raise AuthoringError(f"DAG {dag.dag_id!r}: jinja_environment_kwargs: {error}") from error
    add_filters(environment)
    environment.globals.update(dag.user_defined_macros)
    environment.filters.update(dag.user_defined_filters)
    return environment


def _plain_environment() -> jinja2.Environment:
    """For what is rendered where no DAG is known."""
    import jinja2

    from tradewind.authoring.template_environment import TextEnvironment, add_filters

    environment = TextEnvironment(undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.do"], cache_size=0)
    add_filters(environment)
    return environment


def _compiled(environment: jinja2.Environment, text: str) -> jinja2.Template:
    from tradewind.authoring.template_environment import compiled

    return compiled(environment, text)


def _evaluate(template: jinja2.Template, context: Mapping[str, Any]) -> Any:
    from tradewind.authoring.template_environment import evaluate

    return evaluate(template, context)


def _changes_every_text(environment: jinja2.Environment) -> bool:
    from tradewind.authoring.template_environment import changes_every_text

    return changes_every_text(environment)


def _touches_every_text(settings: TemplateSettings) -> bool:
    return bool(settings.render_template_as_native_obj or _MARK_ARGUMENTS & settings.jinja_environment_kwargs.keys())


def _settings_of(operator: Any) -> TemplateSettings | None:
    return cast("TemplateSettings | None", getattr(operator, "dag", None))


def _is_file(text: str, extensions: tuple[str, ...]) -> bool:
    return bool(extensions) and text.endswith(extensions) and "\n" not in text


def _has_fields(value: Any) -> bool:
    """Whether the value is an object with template fields of its own.

    Operators and references to them are not: they stand for results of other tasks, which are data.
    """
    kind = type(cast("object", value))
    return bool(getattr(kind, "template_fields", None)) and not hasattr(value, "task_id")


def _message(error: Exception, settings: TemplateSettings) -> str:
    import jinja2

    if isinstance(error, jinja2.TemplateNotFound):
        searched = ", ".join(repr(path) for path in (settings.folder, *settings.template_searchpath))
        return f"{error.name!r} not found in search path: {searched}; add the folder with template_searchpath="
    return str(error)
