"""hatchling's hook: builds the web pages before the project is packed or installed in place.

Where they can't be built the install goes on without them. ``TRADEWIND_UI=skip`` leaves them out; with
``TRADEWIND_UI=require`` (releases) a failure fails the build.
"""

import importlib.util
import os
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_HERE = Path(__file__).resolve().parent
_WISH = os.environ.get("TRADEWIND_UI", "")


def _load_build() -> ModuleType:
    """``build.py`` beside this file; the package that it belongs to is not installed yet."""
    spec = importlib.util.spec_from_file_location("tradewind_ui_build", _HERE / "build.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"{_HERE / 'build.py'} can't be loaded")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _has_node_wheel() -> bool:
    """Whether PyPI's Node has a wheel for this platform: without one, asking for it would fail the whole install."""
    if platform.machine().lower() not in {"x86_64", "amd64", "aarch64", "arm64"}:
        return False
    if sys.platform != "linux":
        return sys.platform in {"darwin", "win32"}
    name, version = platform.libc_ver()
    return name == "glibc" and tuple(int(part) for part in version.split(".")[:2]) >= (2, 28)


class WebPagesHook(BuildHookInterface[BuilderConfig]):
    """Builds ``dist/`` where its sources have changed."""

    def dependencies(self) -> list[str]:
        """Node from PyPI, where there is something to build and the machine has no Node of its own."""
        build = _load_build()
        if _WISH == "skip" or not build.has_sources(_HERE) or build.is_current(_HERE) or build.find_npm():
            return []
        return [build.NODE_PACKAGE] if _has_node_wheel() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before each build of any kind. An install in place gets, as the wheel does, the file by which every
        Python of the environment finds `import airflow`.
        """
        if version == "editable":
            build_data["force_include_editable"]["runtime/tradewind_airflow.pth"] = "tradewind_airflow.pth"
        build = _load_build()
        if _WISH == "skip" or not build.has_sources(_HERE):
            return
        try:
            build.build(_HERE, say=self.app.display_info)
        except build.UiBuildError as problem:
            if _WISH == "require":
                raise
            self.app.display_warning(f"Web pages: not built, the REST API serves without them: {problem}")
