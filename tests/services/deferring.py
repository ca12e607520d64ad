"""What the tests of deferral share: a trigger with a gate, an operator that waits, and looks at a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from tests.services.conftest import until
from tradewind import BaseOperator, BaseTrigger, Trigger, TriggerEvent, trigger
from tradewind.authoring.xcom import decode
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.model.rows import RunRow

gates: dict[str, asyncio.Future[Any]] = {}
seen: list[str] = []


def clean() -> None:
    """Before each test."""
    gates.clear()
    seen.clear()


def gate(name: str) -> asyncio.Future[Any]:
    if name not in gates:
        gates[name] = asyncio.get_running_loop().create_future()
    return gates[name]


@trigger(kind="tests.gate")
class Gate(Trigger):
    """Fires with what is put into the gate of this name."""

    name: str

    async def run(self) -> AsyncIterator[TriggerEvent]:
        seen.append(f"run {self.name}")

        async def ack() -> None:
            seen.append(f"ack {self.name}")

        yield TriggerEvent(await asyncio.shield(gate(self.name)), ack=ack)

    async def cleanup(self) -> None:
        seen.append(f"cleanup {self.name}")

    async def on_kill(self) -> None:
        seen.append(f"kill {self.name}")


class Waiting(BaseOperator):
    """Defers to a trigger, and returns what it gave."""

    def __init__(self, *, waits_for: BaseTrigger, more: dict[str, Any] | None = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.waits_for = waits_for
        self.more = more

    async def execute(self, context: Any) -> Any:
        self.defer(trigger=self.waits_for, method_name="go_on", kwargs=self.more)

    def go_on(self, context: Any, event: Any = None, **more: Any) -> Any:
        return {"event": event, **more}


async def started(runtime: Runtime, dag_id: str, **wish: Any) -> RunRow:
    return await runtime.control.run_trigger(TriggerRequest(dag_id, unpause=True, **wish))


async def states(runtime: Runtime, run: RunRow) -> dict[str, str]:
    return {row.task_id: row.state.value for row in await runtime.control.reads.instance_list(run.run_id)}


async def deferred(runtime: Runtime, run: RunRow, *task_ids: str) -> None:
    async def waits() -> bool:
        found = await states(runtime, run)
        return all(found.get(task_id) == "deferred" for task_id in task_ids)

    await until(runtime, waits)


async def ended(runtime: Runtime, run: RunRow) -> dict[str, str]:
    await runtime.control.run_wait(run.run_id, 60)
    return await states(runtime, run)


async def result(runtime: Runtime, run: RunRow, task_id: str) -> Any:
    value = await runtime.control.reads.xcom_get(run.run_id, task_id, "return_value")
    return None if value is None else decode(value)


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
