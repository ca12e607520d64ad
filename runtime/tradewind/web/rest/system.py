"""The system itself: health, version, configuration, import errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import web

from tradewind.model.rows import ImportErrorRow
from tradewind.model.specs import Json
from tradewind.web.answers import json_answer, text_answer
from tradewind.web.keys import CONFIG
from tradewind.web.problems import Problem, not_found
from tradewind.web.rest import dag_views
from tradewind.web.rest.listing import PAGE, order_by, ordered, page_of
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.roles import Permission


def _word(is_healthy: bool) -> str:
    return "healthy" if is_healthy else "unhealthy"


async def get_health(call: Call) -> web.Response:
    """GET /health: always 200; the body says which part does not work."""
    health = call.control.health()
    scheduler = _word(health.scheduler)
    return json_answer(
        {
            "metadatabase": {"status": _word(health.database)},
            "scheduler": {"status": scheduler, "latest_scheduler_heartbeat": health.scheduler_beat},
            # One loop carries them all: waits and DAG files are served by the process that schedules.
            "triggerer": {"status": scheduler, "latest_triggerer_heartbeat": health.scheduler_beat},
            "dag_processor": {"status": scheduler, "latest_dag_processor_heartbeat": health.scheduler_beat},
        }
    )


async def get_version(call: Call) -> web.Response:
    """GET /version."""
    return json_answer({"version": call.control.health().version, "git_version": None})


def _sections(call: Call) -> Mapping[str, Mapping[str, str]]:
    exposed = call.request.app[CONFIG].exposed_config
    if exposed is None:
        detail = "The configuration is not shown. Set web.expose_config to true to let Op and Admin read it."
        raise Problem(403, "Configuration is not exposed", detail)
    wanted = call.maybe_text("section")
    if wanted is None:
        return exposed
    if wanted not in exposed:
        raise not_found("Section not found", f"There is no section {wanted!r}; there are: {', '.join(sorted(exposed))}")
    return {wanted: exposed[wanted]}


def _section(name: str, options: Mapping[str, str]) -> dict[str, Json]:
    return {"name": name, "options": [{"key": key, "value": value} for key, value in options.items()]}


async def get_config(call: Call) -> web.Response:
    """GET /config: secrets are masked by who exposed it."""
    sections = _sections(call)
    if call.request.headers.get("Accept", "").startswith("text/plain"):
        lines = [
            f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in options.items())
            for name, options in sections.items()
        ]
        return text_answer("\n".join(lines))
    return json_answer({"sections": [_section(name, options) for name, options in sections.items()]})


async def get_option(call: Call) -> web.Response:
    """GET /config/section/{section}/option/{option}."""
    [(section, options)] = _sections(call).items()
    option = call.text("option")
    if option not in options:
        raise not_found("Config option not found", f"The section {section} has no option {option!r}")
    return json_answer({"sections": [_section(section, {option: options[option]})]})


_ERROR_ORDER: Final[Mapping[str, Callable[[ImportErrorRow], Json]]] = {
    "import_error_id": lambda row: row.import_error_id,
    "timestamp": lambda row: row.at,
    "filename": lambda row: row.fileloc,
}


async def list_import_errors(call: Call) -> web.Response:
    """GET /importErrors."""
    rows = ordered(await call.reads.import_error_list(), call.text("order_by"), _ERROR_ORDER)
    entries = [dag_views.import_error(row) for row in page_of(call, rows)]
    return json_answer({"import_errors": entries, "total_entries": len(rows)})


async def get_import_error(call: Call) -> web.Response:
    """GET /importErrors/{import_error_id}."""
    wanted = call.integer("import_error_id")
    for row in await call.reads.import_error_list():
        if row.import_error_id == wanted:
            return json_answer(dag_views.import_error(row))
    raise not_found("Import error not found", f"There is no import error {wanted}; the file may load by now")


ROUTES: Final = (
    Route(
        "GET",
        "/health",
        "get_health",
        get_health,
        "Monitoring",
        "Whether the parts work. Needs no login.",
        permission=None,
        answers={200: "Health"},
    ),
    Route(
        "GET",
        "/version",
        "get_version",
        get_version,
        "Monitoring",
        "This server's version. Needs no login.",
        permission=None,
        answers={200: "Version"},
    ),
    Route(
        "GET",
        "/config",
        "get_config",
        get_config,
        "Config",
        "The configuration, where the server exposes it.",
        permission=Permission.OPERATE,
        query=(Param("section", Kind.TEXT, "Only this section.", maximum=250),),
        answers={200: "Config"},
        media=("application/json", "text/plain"),
    ),
    Route(
        "GET",
        "/config/section/{section}/option/{option}",
        "get_value",
        get_option,
        "Config",
        "One option.",
        permission=Permission.OPERATE,
        answers={200: "Config"},
    ),
    Route(
        "GET",
        "/importErrors",
        "get_import_errors",
        list_import_errors,
        "ImportError",
        "Files that do not load.",
        query=(*PAGE, order_by(*_ERROR_ORDER, default="import_error_id")),
        answers={200: "ImportErrorCollection"},
    ),
    Route(
        "GET",
        "/importErrors/{import_error_id}",
        "get_import_error",
        get_import_error,
        "ImportError",
        "Why one file could not be loaded.",
        answers={200: "ImportError"},
        path_kinds={"import_error_id": Kind.INTEGER},
    ),
)
