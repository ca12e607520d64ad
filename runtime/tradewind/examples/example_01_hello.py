"""The first DAG: three kinds of task, one after the other."""

from __future__ import annotations

from tradewind import DAG, BashOperator, task

with DAG(
    "example_01_hello",
    "Three kinds of task, one after the other",
    schedule=None,
    tags=["example"],
    is_paused_upon_creation=False,
    doc_md="""
### Hello

An `async def` task runs as a coroutine on the runtime's event loop, a plain function in a process of its own, a
`BashOperator` runs a command. What a task returns is handed to the next one. Nothing here needs a network.
""",
):

    @task
    async def make_greeting() -> str:
        """A coroutine: costs next to nothing to start."""
        return "Hello from Tradewind"

    @task
    def count_letters(text: str) -> int:
        """A plain function: runs in a process, so it may block or crash without harm to others."""
        print(f"{text!r} was handed over")
        return sum(letter.isalpha() for letter in text)

    say = BashOperator(
        task_id="say",
        bash_command="echo \"{{ ti.xcom_pull('make_greeting') }} ({{ ti.xcom_pull('count_letters') }} letters)\"",
    )

    count_letters(make_greeting()) >> say
