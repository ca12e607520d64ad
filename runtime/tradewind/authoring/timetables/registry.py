"""Timetable classes that plug-ins hand over, by the name under which they are found again.

A DAG file may also use a class that nobody registered: the class is found by loading that file.
"""

from __future__ import annotations

from tradewind.authoring.timetables.base import Timetable
from tradewind.model.errors import AuthoringError

_registered: dict[str, type[Timetable]] = {}


def register_timetable(cls: type[Timetable]) -> type[Timetable]:
    """Makes a class of your own known by its qualified name (``workday.AfterWorkdayTimetable``). Usable as decorator.

    Registering a class of the same name again replaces it: its module was loaded anew.

    Raises:
        AuthoringError: `cls` is no subclass of `Timetable`.
    """
    if not _is_timetable_class(cls):
        raise AuthoringError(
            f"{cls!r} is no timetable class: subclass tradewind.authoring.timetables.Timetable "
            "(airflow.timetables.base.Timetable) and hand over the class itself, not an object of it"
        )
    _registered[class_name(cls)] = cls
    return cls


def _is_timetable_class(given: object) -> bool:
    return isinstance(given, type) and issubclass(given, Timetable)


def registered_timetables() -> dict[str, type[Timetable]]:
    """Every class that has been registered in this process, by qualified name."""
    return dict(_registered)


def class_name(cls: type[Timetable]) -> str:
    """The name under which a class is registered: its module's and its own."""
    return f"{cls.__module__}.{cls.__qualname__}"
