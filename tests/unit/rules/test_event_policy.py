"""When events start a run, and how many go into it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.model.assets import QueueSummary
from tradewind.model.errors import AuthoringError
from tradewind.rules.event_policy import EventPolicy, KeysVerdict, Verdict, verdict, verdict_by_key

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def waiting(size: int, first: float, last: float, run: float | None = None) -> QueueSummary:
    """So many, the first and the last queued and the last run made so many seconds ago."""
    return QueueSummary(size, ago(first), ago(last), None if run is None else ago(run))


@pytest.mark.parametrize(
    ("policy", "there", "expected"),
    [
        (EventPolicy(), QueueSummary(), Verdict(reason="no event waits")),
        (EventPolicy(), waiting(3, 2, 0), Verdict(1)),
        (EventPolicy(batch=2), waiting(3, 2, 0), Verdict(2)),
        (EventPolicy(batch=2), waiting(1, 0, 0), Verdict(1)),
        (EventPolicy(batch=5, max_wait=10), waiting(5, 1, 0), Verdict(5)),
        (EventPolicy(batch=5, max_wait=10), waiting(4, 1, 0), Verdict(at=ago(-9), reason="batch")),
        (EventPolicy(batch=5, max_wait=10), waiting(4, 10, 0), Verdict(4)),
        (EventPolicy(debounce=5), waiting(7, 60, 1), Verdict(at=ago(-4), reason="debounce")),
        (EventPolicy(debounce=5), waiting(7, 60, 5), Verdict(7)),
        (EventPolicy(debounce=5, max_wait=30), waiting(7, 28, 1), Verdict(at=ago(-2), reason="debounce")),
        (EventPolicy(debounce=5, max_wait=30), waiting(7, 60, 1), Verdict(7)),
        (EventPolicy(debounce=5, batch=3), waiting(7, 1, 0), Verdict(3)),
        (EventPolicy(throttle=60), waiting(7, 1, 0), Verdict(7)),
        (EventPolicy(throttle=60), waiting(7, 1, 0, 20), Verdict(at=ago(-40), reason="throttle")),
        (EventPolicy(throttle=60), waiting(7, 1, 0, 60), Verdict(7)),
        (EventPolicy(throttle=60, batch=1), waiting(7, 1, 0, 61), Verdict(1)),
        (EventPolicy(throttle=60, debounce=5), waiting(7, 1, 0, 58), Verdict(at=ago(-5), reason="debounce")),
    ],
)
def test_verdicts(policy: EventPolicy, there: QueueSummary, expected: Verdict) -> None:
    assert verdict(policy, there, NOW) == expected


SECONDS = st.floats(0.01, 1000)
POLICIES = st.one_of(
    st.builds(EventPolicy, batch=st.none() | st.integers(1, 9), throttle=st.none() | SECONDS),
    st.builds(EventPolicy, batch=st.integers(2, 9), max_wait=SECONDS, throttle=st.none() | SECONDS),
    st.builds(EventPolicy, batch=st.none() | st.integers(1, 9), debounce=SECONDS, throttle=st.none() | SECONDS),
    st.builds(EventPolicy, batch=st.none() | st.integers(2, 9), debounce=SECONDS, key=st.just("user.id")),
)


@given(POLICIES, st.integers(1, 30), st.floats(0, 500), st.floats(0, 500), st.none() | st.floats(0, 2000))
def test_what_waits_is_taken_once_its_moment_has_come(
    policy: EventPolicy, size: int, last: float, more: float, run: float | None
) -> None:
    """Whatever the policy, a verdict names a later moment or takes events, never more than a batch; at that moment,
    if nothing else comes, they are taken.
    """
    there = waiting(size, last + more, last, run)
    said = verdict(policy, there, NOW)
    if said.at is not None:
        assert said.take == 0
        assert said.at > NOW
        assert said.reason in ("batch", "debounce", "throttle")
        said = verdict(policy, there, said.at)
    assert 1 <= said.take <= min(size, policy.most or size)
    assert said.take == min(size, policy.most or size)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch": 0}, "from 1"),
        ({"batch": True}, "from 1"),
        ({"debounce": 0}, "debounce has to be longer than zero"),
        ({"throttle": -1}, "throttle has to be longer than zero"),
        ({"debounce": 1e9}, "at most a year"),
        ({"max_wait": 5}, "max_wait goes with debounce"),
        ({"max_wait": 5, "debounce": 10}, "must not be shorter"),
        ({"key": "user"}, "each event is a run of its own"),
        ({"key": "user..id", "debounce": 1}, "has to name a field"),
        ({"key": "user", "debounce": 1, "throttle": 1}, "cannot go with a key"),
    ],
)
def test_policies_that_cannot_be(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(AuthoringError, match=message):
        EventPolicy.of(wrong)


@given(POLICIES)
def test_a_policy_is_what_it_says(policy: EventPolicy) -> None:
    assert EventPolicy.of(policy.to_json()) == policy
    assert policy.summary()


def test_each_key_waits_on_its_own() -> None:
    policy = EventPolicy(debounce=5, batch=3, key="user")
    there = {"calm": waiting(2, 9, 5), "full": waiting(4, 1, 0), "busy": waiting(2, 9, 2), None: waiting(1, 4, 4)}
    assert verdict_by_key(policy, there, NOW) == KeysVerdict((("calm", 2), ("full", 3)))
    del there["calm"], there["full"]
    assert verdict_by_key(policy, there, NOW) == KeysVerdict((), ago(-1), "debounce")
    assert verdict_by_key(policy, {}, NOW) == KeysVerdict(reason="no event waits")
    assert policy.summary() == "up to 3 together, debounce 5 s, for each user"
