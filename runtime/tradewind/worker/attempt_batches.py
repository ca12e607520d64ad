"""Many attempts in one frame: the facts of each run once, and what is no bytes as one text that is read in one go."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import orjson

from tradewind.model.attempts import Attempt, AttemptKey, RunFacts
from tradewind.model.keys import AttemptId
from tradewind.worker import codec

_ID_BYTES: Final = 16


def plain_attempts(attempts: Iterable[Attempt]) -> dict[str, Any]:
    """Attempts as one body. Those that go on after a wait carry values and are written out."""
    runs: list[dict[str, Any]] = []
    places: dict[int, int] = {}
    items: list[Any] = []
    ids: list[bytes] = []
    others: list[Any] = []
    for attempt in attempts:
        key = attempt.key
        if attempt.resume is not None or len(key.attempt) != _ID_BYTES:
            others.append(codec.plain_attempt(attempt))
            continue
        place = places.get(key.run_id)
        if place is None:
            place = places[key.run_id] = len(runs)
            runs.append(codec.plain_facts(attempt.run))
        began = attempt.first_started_at
        items.append([place, codec.plain_task(attempt.task), key.map_index, key.try_number, attempt.max_tries, began])
        ids.append(key.attempt)
    return {"runs": runs, "ids": b"".join(ids), "items": orjson.dumps(items), "others": others}


def attempts_of(plain: dict[str, Any]) -> list[Attempt]:
    """Undoes `plain_attempts`; those that were written out come last."""
    runs: list[RunFacts] = [codec.facts_of(run) for run in plain["runs"]]
    ids: bytes = plain["ids"]
    attempts: list[Attempt] = []
    items: list[Any] = orjson.loads(plain["items"])
    for number, (place, task, map_index, try_number, max_tries, began) in enumerate(items):
        facts = runs[int(place)]
        attempt_id = AttemptId(ids[number * _ID_BYTES : (number + 1) * _ID_BYTES])
        spec = codec.task_of(task)
        key = AttemptKey(attempt_id, facts.run_id, spec.task_id, map_index, try_number)
        attempts.append(Attempt(key, spec, facts, max_tries, datetime.fromisoformat(began)))
    return attempts + [codec.attempt_of(one) for one in plain["others"]]
