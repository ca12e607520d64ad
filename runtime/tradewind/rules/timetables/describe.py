"""Cron expressions as sentences, for people."""

from __future__ import annotations

from typing import Final

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_DAYS: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def describe_cron(expression: str) -> str:
    """A sentence: ``30 6 * * MON-FRI`` is ``At 06:30, on Monday to Friday``.

    Seconds and years, which few expressions have, are left out of it.
    """
    fields = expression.lower().split()
    if len(fields) < 5:
        return ""
    minute, hour, day, month, weekday = fields[:5]
    parts = [_time(minute, hour)]
    if day != "*":
        parts.append("on the last day of the month" if day == "l" else f"on day {_listed(day)} of the month")
    if weekday != "*":
        parts.append(("or on " if day != "*" else "on ") + _named(weekday, _DAYS, "sun mon tue wed thu fri sat", 0))
    if month != "*":
        parts.append("in " + _named(month, _MONTHS, "jan feb mar apr may jun jul aug sep oct nov dec", 1))
    return ", ".join(parts)


def _time(minute: str, hour: str) -> str:
    if hour.isdigit() and minute.isdigit():
        return f"At {int(hour):02}:{int(minute):02}"
    if minute.isdigit() and all(part.isdigit() for part in hour.split(",")):
        return "At " + _joined([f"{int(part):02}:{int(minute):02}" for part in hour.split(",")])
    return _minutes(minute) + ("" if hour == "*" else ", " + _hours(hour))


def _minutes(minute: str) -> str:
    if minute == "*":
        return "Every minute"
    if minute.startswith("*/"):
        return f"Every {minute[2:]} minutes"
    if minute == "0":
        return "Every hour, on the hour"
    return f"At minute {_listed(minute)} past the hour"


def _hours(hour: str) -> str:
    if hour.startswith("*/"):
        return f"every {hour[2:]} hours"
    return f"in hour {_listed(hour)}"


def _listed(field: str) -> str:
    words = field.replace("-", " to ").replace("*/", "every ").replace("/", " every ")
    return _joined(words.split(","))


def _named(field: str, names: tuple[str, ...], short: str, first: int) -> str:
    """The field with names for its numbers and short names; parts with steps stay as they are."""
    words = {text: number + first for number, text in enumerate(short.split())}

    def name(text: str) -> str:
        number = words.get(text, int(text) if text.isdigit() else None)
        return text if number is None or not 0 <= number - first < len(names) else names[number - first]

    if "/" in field:
        return _listed(field)
    return _joined([" to ".join(name(end) for end in part.split("-")) for part in field.split(",")])


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
