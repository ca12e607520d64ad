"""Frames and the values in them, as bytes that later releases must still understand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.model.attempts import Attempt, AttemptKey, RunFacts
from tradewind.model.keys import AttemptId, RunId
from tradewind.model.outcomes import EncodedValue, ErrorInfo, ExitInfo, Outcome, XComPut
from tradewind.model.rows import InstanceRow, RunRow
from tradewind.model.specs import DagSource, TaskSpec
from tradewind.model.states import OutcomeKind, RunState, RunType, TaskState, TriggerRule
from tradewind.worker import codec
from tradewind.worker.frames import PROTOCOL, Frame, FrameReader, ProtocolError, pack, unpack

GOLDEN = Path(__file__).parents[2] / "data" / "frames"
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
RUN = RunFacts(
    run_id=RunId(1 << 60),
    dag_id="a dag",
    dag_run_id="manual__é",
    version_hash="0" * 64,
    run_type=RunType.MANUAL,
    logical_date=AT,
    interval_start=AT,
    interval_end=AT,
    run_after=AT,
    queued_at=AT,
    started_at=None,
    conf=EncodedValue(1, b'{"#": [0, 1], "text": "\\u0000"}'),
    external_trigger=True,
    source=DagSource("files", "abc", "/dags/a.py", "a.py"),
)
TASK = TaskSpec(
    "t",
    upstream=("a", "b"),
    trigger_rule=TriggerRule.ONE_FAILED,
    execution_timeout=1.5,
    start_date=AT,
    template_fields=("bash_command",),
    owner="me",
)
ATTEMPT = Attempt(AttemptKey(AttemptId(bytes(range(16))), RUN.run_id, "t", 3, 2), TASK, RUN, 4, AT)
OUTCOME = Outcome(
    OutcomeKind.FAILED,
    (XComPut("return_value", EncodedValue(2, b"\x00\xff")), XComPut("empty", EncodedValue(16, b""))),
    branch=("x", "y"),
    short_circuit=True,
    ignore_downstream_trigger_rules=False,
    reschedule_at=AT,
    error=ErrorInfo("ValueError", "no", "Traceback…"),
    exit=ExitInfo(None, 9, True, 12345, 0.5, 0.25),
    reason="killed",
)
RUN_ROW = RunRow(RUN.run_id, "d", "r", "h", RunType.SCHEDULED, RunState.RUNNING, AT, AT, AT, AT, AT, conf=RUN.conf)
INSTANCE = InstanceRow(RUN.run_id, "t", 1, TaskState.SUCCESS, 1, 2, 0, AT, AT, AT, None, AttemptId(b"x" * 16))

FRAMES: dict[str, Frame] = {
    "attempt": Frame(
        "attempt",
        0,
        {"attempt": codec.plain_attempt(ATTEMPT), "log_root": "/logs", "settings": {"log_level": "INFO"}},
    ),
    "began": Frame("began", 1, {"attempt": ATTEMPT.key.attempt, "pid": 7, "hostname": "h"}),
    "heartbeat": Frame("heartbeat", 2, {"attempt": ATTEMPT.key.attempt}),
    "call_xcom_put": Frame(
        "call",
        3,
        {
            "attempt": ATTEMPT.key.attempt,
            "name": "xcom_put",
            "args": [codec.plain_key(ATTEMPT.key), "k", codec.plain_value(EncodedValue(1, b"1"))],
        },
    ),
    "reply_run": Frame("reply", 4, {"value": codec.plain_run(RUN_ROW)}),
    "reply_instances": Frame("reply", 5, {"value": [codec.plain_instance(INSTANCE)]}),
    "refused": Frame("refused", 6, {"error": "NotFoundError", "message": "there is no DAG 'x'"}),
    "finished": Frame(
        "finished",
        7,
        {
            "attempt": ATTEMPT.key.attempt,
            "outcome": codec.plain_outcome(OUTCOME),
            "started_at": AT,
            "ended_at": AT,
        },
    ),
    "ack": Frame("ack", 7, {"accepted": True}),
}


@pytest.mark.parametrize("name", FRAMES)
def test_golden_frames(name: str) -> None:
    """The bytes of each version are kept: what an older side sends or expects does not change unnoticed."""
    kept = (GOLDEN / f"v{PROTOCOL}" / f"{name}.bin").read_bytes()
    assert pack(FRAMES[name]) == kept


def test_golden_frames_say_what_they_said() -> None:
    def body(name: str) -> Any:
        return unpack((GOLDEN / f"v{PROTOCOL}" / f"{name}.bin").read_bytes()[4:]).body

    assert codec.attempt_of(body("attempt")["attempt"]) == ATTEMPT
    assert codec.outcome_of(body("finished")["outcome"]) == OUTCOME
    assert codec.run_of(body("reply_run")["value"]) == RUN_ROW
    assert [codec.instance_of(row) for row in body("reply_instances")["value"]] == [INSTANCE]
    assert codec.key_of(body("call_xcom_put")["args"][0]) == ATTEMPT.key


def test_fields_of_a_later_release_are_ignored() -> None:
    plain = codec.plain_attempt(ATTEMPT)
    plain["task"]["new_field"] = 1
    plain["run"]["another"] = 2
    assert codec.attempt_of(unpack(pack(Frame("attempt", 0, plain))[4:]).body) == ATTEMPT


def test_an_unknown_version_is_refused() -> None:
    with pytest.raises(ProtocolError, match="speaks version 99"):
        unpack(pack(Frame("ack", 1, {}, 99))[4:])


@pytest.mark.parametrize("data", [b"", b"\x00\x00\x00\x02{]", b"\x00\x00\x00\x02[]", b"\x00\x00\x00\x05[1,2]"])
def test_garbage_is_no_frame(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        unpack(data)


def test_a_frame_that_lacks_its_bytes_is_refused() -> None:
    data = pack(Frame("x", 1, {"v": b"12345"}))[4:]
    with pytest.raises(ProtocolError, match="does not carry"):
        unpack(data[:-1])


def test_an_absurd_length_is_refused() -> None:
    with pytest.raises(ProtocolError, match="announced"):
        FrameReader().feed(b"\xff" * 8)


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(ProtocolError, match="object"):
        pack(Frame("x", 1, object()))


bodies = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text().filter(lambda k: k != "#"), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(bodies, min_size=1, max_size=5), st.data())
def test_frames_survive_any_cut_of_their_stream(values: list[Any], data: st.DataObject) -> None:
    frames = [Frame("k", number, value) for number, value in enumerate(values)]
    stream = b"".join(map(pack, frames))
    reader = FrameReader()
    found: list[Frame] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += reader.feed(stream[:size])
        stream = stream[size:]
    assert found == frames
