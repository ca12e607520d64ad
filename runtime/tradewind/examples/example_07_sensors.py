"""Waiting for something: sensors that hold their slot, give it back, or give up quietly."""

from __future__ import annotations

import time
from datetime import timedelta

from tradewind import DAG, FileSensor, PokeReturnValue, PythonSensor, TriggerRule, task

with DAG(
    "example_07_sensors",
    "Waiting for something, in three ways",
    schedule=None,
    tags=["example"],
    is_paused_upon_creation=False,
    doc_md="""
### Sensors

A sensor asks again and again until the answer is yes. With `mode="reschedule"` its slot is free between two
questions, which is right for waits of minutes and hours. An async sensor costs nothing while it waits anyway. With
`soft_fail` a wait that runs into its `timeout` is skipped, not failed.
""",
):

    @task
    async def order() -> float:
        """Orders something that will be ready in two seconds."""
        return time.time() + 2

    @task.sensor(mode="reschedule", poke_interval=timedelta(seconds=1), timeout=timedelta(minutes=5))
    def delivered(ready_at: float) -> PokeReturnValue:
        """A plain function, asked in a process; in between it holds no slot."""
        left = ready_at - time.time()
        print(f"{left:.1f} s to go" if left > 0 else "it is here")
        return PokeReturnValue(is_done=left <= 0, xcom_value="a parcel")

    @task.sensor(poke_interval=timedelta(seconds=0.2), timeout=timedelta(minutes=5))
    async def announced(ready_at: float) -> bool:
        """An async sensor waits on the event loop."""
        return time.time() >= ready_at - 1

    def never() -> bool:
        """Nobody answers."""
        return False

    letter = FileSensor(
        task_id="letter",
        filepath="no-such-folder/letter-{{ ds }}.txt",
        poke_interval=timedelta(seconds=0.5),
        timeout=timedelta(seconds=1),
        soft_fail=True,
    )
    bell = PythonSensor(task_id="bell", python_callable=never, poke_interval=0.5, timeout=1, soft_fail=True)

    @task(trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    async def unpack(what: str) -> None:
        """Goes on with what the sensor found, whether or not a letter came."""
        print(f"unpacking {what}")

    ordered = order()
    parcel = delivered(ordered)
    [announced(ordered), letter, bell] >> unpack(parcel)
