"""Which tasks run: branches, short circuits, trigger rules."""

from __future__ import annotations

from tradewind import DAG, EmptyOperator, Label, Param, TriggerRule, get_current_context, task

with DAG(
    "example_03_branching",
    "Branches, short circuits and trigger rules",
    schedule=None,
    tags=["example"],
    is_paused_upon_creation=False,
    params={
        "size": Param(10, "how much there is to do", type="integer", minimum=0),
        "publish": Param(False, "whether the result is published", type="boolean"),
    },
    doc_md="""
### Branches

`choose` returns the id of the task to go on with; the other way is skipped. `merge` runs whichever way was taken,
because its trigger rule asks only that nothing failed and something succeeded. `is_public` stops what follows it
when it returns something false. `always` runs in any case: by default a short circuit skips everything below it,
with `ignore_downstream_trigger_rules=False` only what its own rule makes skip.
""",
):

    @task.branch
    async def choose() -> str:
        """The id of the way to take."""
        size = get_current_context()["params"]["size"]
        return "large" if size >= 100 else "small"

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    async def is_public() -> bool:
        """False: the tasks right behind it are skipped, and what their skipping makes skip."""
        return bool(get_current_context()["params"]["publish"])

    chosen = choose()
    small = EmptyOperator(task_id="small")
    large = EmptyOperator(task_id="large")
    merge = EmptyOperator(task_id="merge", trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS)
    publish = EmptyOperator(task_id="publish")
    always = EmptyOperator(task_id="always", trigger_rule=TriggerRule.ALL_DONE)

    chosen >> Label("less than 100") >> small >> merge
    chosen >> Label("100 or more") >> large >> merge
    public = is_public()
    merge >> public >> publish
    [merge, publish] >> always
