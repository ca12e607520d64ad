"""The states of a task instance under plain names, for code that runs for every task.

On Python 3.11 a member of an enumeration is found by a method written in Python, which takes 0.2 µs; a name in a module
takes next to nothing. A finished task asks for two dozen of them. ``from tradewind.model import task_states as _S``
reads as if it were the enumeration.
"""

from __future__ import annotations

from typing import Final

from tradewind.model.states import TaskState

NONE: Final = TaskState.NONE
SCHEDULED: Final = TaskState.SCHEDULED
QUEUED: Final = TaskState.QUEUED
RUNNING: Final = TaskState.RUNNING
SUCCESS: Final = TaskState.SUCCESS
FAILED: Final = TaskState.FAILED
SKIPPED: Final = TaskState.SKIPPED
UPSTREAM_FAILED: Final = TaskState.UPSTREAM_FAILED
UP_FOR_RETRY: Final = TaskState.UP_FOR_RETRY
UP_FOR_RESCHEDULE: Final = TaskState.UP_FOR_RESCHEDULE
DEFERRED: Final = TaskState.DEFERRED
RESTARTING: Final = TaskState.RESTARTING
REMOVED: Final = TaskState.REMOVED
SHUTDOWN: Final = TaskState.SHUTDOWN
