"""The version of the installed package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _installed() -> str:
    try:
        return version("tradewind")
    except PackageNotFoundError:
        return "0.1.0"


VERSION: Final = _installed()
