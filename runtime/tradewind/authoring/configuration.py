"""`conf` of templates: settings as the environment of the attempt gives them."""

from __future__ import annotations

import os
from typing import Any, Final

MISSING: Final[Any] = object()
"""Stands for "no fallback is given"."""
_TRUE: Final = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE: Final = frozenset({"0", "false", "f", "no", "n", "off"})


class ConfigurationView:
    """Settings by section and name, from `TRADEWIND__SECTION__NAME` or `AIRFLOW__SECTION__NAME`."""

    __slots__ = ()

    def get(self, section: str, key: str, fallback: Any = MISSING) -> Any:
        """The setting's text. Raises KeyError where it is not set and there is no `fallback`."""
        for prefix in ("TRADEWIND", "AIRFLOW"):
            value = os.environ.get(f"{prefix}__{section.upper()}__{key.upper()}")
            if value is not None:
                return value
        if fallback is MISSING:
            raise KeyError(
                f"setting {key!r} of section {section!r} is not set for tasks: "
                f"set TRADEWIND__{section.upper()}__{key.upper()}, or give a fallback"
            )
        return fallback

    def getint(self, section: str, key: str, fallback: Any = MISSING) -> int:
        """The setting as a whole number. Raises ValueError where it is none."""
        return int(self.get(section, key, fallback))

    def getfloat(self, section: str, key: str, fallback: Any = MISSING) -> float:
        """The setting as a number. Raises ValueError where it is none."""
        return float(self.get(section, key, fallback))

    def getboolean(self, section: str, key: str, fallback: Any = MISSING) -> bool:
        """The setting as true or false. Raises ValueError for anything else."""
        text = str(self.get(section, key, fallback)).strip().lower()
        if text in _TRUE | _FALSE:
            return text in _TRUE
        raise ValueError(f"setting {key!r} of section {section!r} is {text!r}, neither true nor false")

    def has_option(self, section: str, key: str) -> bool:
        """Whether the setting is set."""
        return self.get(section, key, None) is not None

    def __repr__(self) -> str:
        return "<configuration of the environment>"
