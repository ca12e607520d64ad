"""Which kinds of coroutines are sent away for blocking the loop."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tradewind.model.loop import CoroutineKind
from tradewind.rules.offences import OFFENCE_WINDOW, OFFENCES_MAX, RECORDS_MAX, Offenders

KIND = CoroutineKind("d", "t")


@given(st.lists(st.floats(0, 4 * OFFENCE_WINDOW), min_size=1, max_size=12).map(sorted))
def test_the_third_within_the_window_and_not_before(instants: list[float]) -> None:
    offenders = Offenders()
    sent = [offenders.offended(KIND, "1", at) for at in instants]
    due = [
        i
        for i in range(OFFENCES_MAX - 1, len(instants))
        if instants[i] - instants[i - OFFENCES_MAX + 1] <= OFFENCE_WINDOW
    ]
    assert [i for i, one in enumerate(sent) if one] == due[:1]
    assert offenders.is_isolated(KIND, "1") == bool(due)
    assert offenders.isolated == ([KIND] if due else [])


def test_kinds_and_versions_are_told_apart() -> None:
    offenders = Offenders()
    for at, kind, version in (
        (0.0, KIND, "1"),
        (1.0, KIND, "2"),
        (2.0, KIND._replace(task_id="u"), "1"),
        (3.0, KIND, "1"),
    ):
        assert not offenders.offended(kind, version, at)
    assert offenders.offended(KIND, "1", 4.0)
    assert not offenders.is_isolated(KIND, "2"), "it may be mended"
    assert not offenders.offended(KIND, "1", 5.0), "it is said once"


def test_one_that_weighs_enough() -> None:
    offenders = Offenders()
    assert offenders.offended(KIND, "1", 0.0, weight=OFFENCES_MAX)


def test_memory_is_bounded() -> None:
    offenders = Offenders()
    for _ in range(OFFENCES_MAX):
        offenders.offended(KIND, "1", 0.0)
    for n in range(RECORDS_MAX):
        offenders.offended(CoroutineKind("d", str(n)), "1", 0.0)
    assert not offenders.is_isolated(KIND, "1")
