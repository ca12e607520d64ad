"""What happens when things go wrong: retries with back-off, time-outs, errors that end it at once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tradewind import DAG, FailWithoutRetry, TriggerRule, get_current_context, task

with DAG(
    "example_06_retries",
    "Retries with back-off, time-outs, failing for good",
    schedule=None,
    tags=["example"],
    is_paused_upon_creation=False,
    doc_md="""
### Retries and time-outs

`unsteady` fails twice and succeeds at its third try; the pauses between tries double. `too_slow` is stopped by its
`execution_timeout`, and `hopeless` says itself that more tries are pointless. These two fail; `summary` runs all
the same, because its rule waits for all to be done, so the run as a whole succeeds.
""",
):

    @task(retries=3, retry_delay=timedelta(seconds=0.5), retry_exponential_backoff=True)
    async def unsteady() -> str:
        """Each try has a log of its own."""
        number = get_current_context()["ti"].try_number
        if number < 3:
            raise ConnectionError(f"try {number}: nobody answers")
        return f"answered at try {number}"

    @task(execution_timeout=timedelta(seconds=1))
    async def too_slow() -> None:
        """A coroutine is cancelled, a process is ended; both are told apart from other failures."""
        await asyncio.sleep(3600)

    @task(retries=5)
    def hopeless() -> None:
        """No try is left after this."""
        raise FailWithoutRetry("the account is closed: trying again would not help")

    @task(trigger_rule=TriggerRule.ALL_DONE)
    async def summary(answer: str) -> None:
        """Runs when the three are done, however they ended."""
        print(f"the unsteady one {answer}")

    [too_slow(), hopeless()] >> summary(unsteady())
