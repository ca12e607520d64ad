"""What templates find under `macros`: dates, ids, JSON."""

from __future__ import annotations

import json
import time
import uuid
import warnings
from datetime import datetime, timedelta
from importlib import import_module
from random import random
from typing import TYPE_CHECKING

import dateutil
import dateutil.parser
import dateutil.relativedelta

from tradewind.model.errors import AuthoringError

if TYPE_CHECKING:
    from datetime import date

__all__ = [
    "datetime",
    "datetime_diff_for_humans",
    "dateutil",
    "ds_add",
    "ds_format",
    "ds_format_locale",
    "json",
    "random",
    "time",
    "timedelta",
    "uuid",
]

_WITH_DATEUTIL = (dateutil.parser, dateutil.relativedelta)
"""Loaded here, so that templates find them under `macros.dateutil`."""


def ds_add(ds: str, days: int) -> str:
    """The day `days` after (before, if negative) the day `ds`, both as ``YYYY-MM-DD``."""
    if not days:
        return str(ds)
    day = datetime.strptime(str(ds), "%Y-%m-%d")  # noqa: DTZ007 - a calendar day has no zone
    return (day + timedelta(days=days)).strftime("%Y-%m-%d")


def ds_format(ds: str, input_format: str, output_format: str) -> str:
    """The date `ds`, read by one strptime format and written by another."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.13 warns of days without a year
        moment = datetime.strptime(str(ds), input_format)  # noqa: DTZ007 - the format decides
    return moment.strftime(output_format)


def ds_format_locale(ds: str, input_format: str, output_format: str, locale: str | None = None) -> str:
    """As `ds_format`, with names of days and months in a language: `output_format` is a pattern of Babel's.

    Raises AuthoringError where Babel is not installed.
    """
    try:
        dates = import_module("babel.dates")
    except ImportError as why:
        raise AuthoringError("macros.ds_format_locale needs Babel: pip install babel") from why
    moment = datetime.strptime(str(ds), input_format)  # noqa: DTZ007 - the format decides
    chosen = {} if locale is None else {"locale": locale}
    return str(dates.format_datetime(moment, format=output_format, **chosen))


def datetime_diff_for_humans(dt: date | datetime, since: date | datetime | None = None) -> str:
    """How far `dt` lies from `since` (default: now) in words: ``2 days before``."""
    import pendulum

    def moment(value: date | datetime) -> pendulum.DateTime:
        if isinstance(value, datetime):
            return pendulum.instance(value)
        return pendulum.datetime(value.year, value.month, value.day)

    return moment(dt).diff_for_humans(None if since is None else moment(since))
