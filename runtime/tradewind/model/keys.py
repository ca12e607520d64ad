"""Identities: how runs, task instances and attempts are named.

A *run id* is a 63-bit integer that grows with time: milliseconds since 2020 in the upper 41
bits, then 22 bits that its maker draws. It is the first key column of every per-run table, so
rows of one run lie together and old runs can be cut off. What people see is the *dag_run_id*,
such as ``manual__2026-01-01T00:00:00+00:00``, unique within a DAG.

An *attempt id* is 16 random bytes: it names one try of one task instance for ever.
"""

from __future__ import annotations

from typing import Final, NewType

RunId = NewType("RunId", int)
AttemptId = NewType("AttemptId", bytes)
RuntimeId = NewType("RuntimeId", int)

EPOCH_MS: Final = 1_577_836_800_000
"""2020-01-01T00:00:00Z in milliseconds since 1970: the zero of run ids."""

UNMAPPED: Final = -1
"""Map index of a task instance that is not mapped."""

DEFAULT_NAMESPACE: Final = "default"


def run_id_of(unix_ms: int, draw: int) -> RunId:
    """The run id for a moment (milliseconds since 1970) and 22 random bits."""
    return RunId(((unix_ms - EPOCH_MS) << 22) | (draw & 0x3FFFFF))
