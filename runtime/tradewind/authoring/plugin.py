"""`AirflowPlugin`: what the files of the plug-ins folder are made of."""

from __future__ import annotations

from typing import Any, ClassVar


class AirflowPlugin:
    """Subclass it in a file of the plug-ins folder and list what it brings.

    `macros`, `timetables` and `listeners` are taken in, operator links accepted. Partition mappers and windows need
    not be listed: DAG files import them. Pages of the web interface (`flask_blueprints`, `appbuilder_views`,
    `appbuilder_menu_items`, `fastapi_apps` …) are refused with a warning.
    """

    name: ClassVar[str | None] = None
    hooks: ClassVar[list[Any]] = []
    executors: ClassVar[list[Any]] = []
    macros: ClassVar[list[Any]] = []
    admin_views: ClassVar[list[Any]] = []
    flask_blueprints: ClassVar[list[Any]] = []
    menu_links: ClassVar[list[Any]] = []
    appbuilder_views: ClassVar[list[Any]] = []
    appbuilder_menu_items: ClassVar[list[Any]] = []
    fastapi_apps: ClassVar[list[Any]] = []
    fastapi_root_middlewares: ClassVar[list[Any]] = []
    external_views: ClassVar[list[Any]] = []
    react_apps: ClassVar[list[Any]] = []
    global_operator_extra_links: ClassVar[list[Any]] = []
    operator_extra_links: ClassVar[list[Any]] = []
    timetables: ClassVar[list[Any]] = []
    listeners: ClassVar[list[Any]] = []
    ti_deps: ClassVar[list[Any]] = []
    priority_weight_strategies: ClassVar[list[Any]] = []
    partition_mappers: ClassVar[list[Any]] = []
    windows: ClassVar[list[Any]] = []

    @classmethod
    def validate(cls) -> None:
        """Raises ValueError where the plug-in has no name."""
        if not cls.name:
            raise ValueError(f"plug-in class {cls.__module__}.{cls.__qualname__} has no `name`")

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        """Called once after the plug-in has been loaded."""
