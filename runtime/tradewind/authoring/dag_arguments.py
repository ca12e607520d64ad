"""What arguments of a DAG have to look like, so that a mistake is told while the file is imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import Any, Final, cast

from tradewind.model.errors import AuthoringError

_VIEWS: Final = ("grid", "graph", "duration", "gantt", "landing_times", "tree", "calendar")
_ORIENTATIONS: Final = ("LR", "TB", "RL", "BT")
_LINKS: Final = ("http://", "https://", "mailto:")
_LONGEST_TAG: Final = 100


def check_dag_arguments(given: Mapping[str, Any], dag_id: str) -> None:
    """Raises AuthoringError naming DAG, argument and what is needed. None stands for "not given" everywhere."""
    for name, check in _CHECKS.items():
        value: object = given.get(name)
        if value is not None:
            check(value, f"DAG {dag_id!r}: {name}")


def mapping_needed(value: object, where: str) -> None:
    """Raises AuthoringError for what is no dict."""
    if not isinstance(value, Mapping):
        raise AuthoringError(f"{where}: a dict is needed, not {value!r}")


def text_needed(value: object, where: str) -> None:
    """Raises AuthoringError for what is no text."""
    if not isinstance(value, str):
        raise AuthoringError(f"{where}: a text is needed, not {value!r}")


def texts_needed(value: object, where: str) -> None:
    """Raises AuthoringError for what is neither a text or path nor several of them."""
    if isinstance(value, str | PathLike):
        return
    if not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise AuthoringError(f"{where}: a text or a list of texts is needed, not {value!r}")
    if isinstance(value, list | tuple | set | frozenset):  # what can be looked at without using it up
        for item in cast("Iterable[object]", value):
            if not isinstance(item, str | PathLike):
                raise AuthoringError(f"{where}: texts are needed, not {item!r}")


def _flag(value: object, where: str) -> None:
    if not isinstance(value, bool):
        raise AuthoringError(f"{where}: True or False is needed, not {value!r}")


def _one_of(allowed: tuple[str, ...]) -> Callable[[object, str], None]:
    def check(value: object, where: str) -> None:
        if value not in allowed:
            raise AuthoringError(f"{where}: {value!r} is none of {', '.join(allowed)}")

    return check


def _tags(value: object, where: str) -> None:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise AuthoringError(f"{where} has to be a list of texts, not {_named(value)}")
    for tag in cast("Iterable[object]", value):
        text_needed(tag, where)
        if not 0 < len(cast("str", tag)) <= _LONGEST_TAG:
            raise AuthoringError(f"{where}: a tag has 1 to {_LONGEST_TAG} characters, not {tag!r}")


def _named(value: object) -> str:
    return f"the text {value!r}" if isinstance(value, str) else repr(value)


def _owner_links(value: object, where: str) -> None:
    mapping_needed(value, where)
    for owner, link in cast("Mapping[object, object]", value).items():
        if not isinstance(link, str) or not link.startswith(_LINKS):
            raise AuthoringError(f"{where}: {link!r} of {owner!r} is no link; it begins with {', '.join(_LINKS)}")


_CHECKS: Final[Mapping[str, Callable[[object, str], None]]] = {
    "description": text_needed,
    "catchup": _flag,
    "fail_stop": _flag,
    "fail_fast": _flag,
    "auto_register": _flag,
    "is_paused_upon_creation": _flag,
    "render_template_as_native_obj": _flag,
    "default_args": mapping_needed,
    "params": mapping_needed,
    "user_defined_macros": mapping_needed,
    "user_defined_filters": mapping_needed,
    "jinja_environment_kwargs": mapping_needed,
    "access_control": mapping_needed,
    "owner_links": _owner_links,
    "doc_md": text_needed,
    "dag_display_name": text_needed,
    "template_searchpath": texts_needed,
    "tags": _tags,
    "email": texts_needed,
    "default_view": _one_of(_VIEWS),
    "orientation": _one_of(_ORIENTATIONS),
}
