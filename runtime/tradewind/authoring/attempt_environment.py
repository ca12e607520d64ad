"""What the programs that a task starts are told about it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

PROCESS_MARK: Final = "TRADEWIND_CTX_PROCESS"
"""Names the process of the attempt: by it a program that outlives its attempt is found."""


def attempt_environment(context: Mapping[str, Any]) -> dict[str, str]:
    """Environment variables that tell a task's programs who they work for (`AIRFLOW_CTX_*`, as scripts expect)."""
    ti = context.get("ti")
    if ti is None:
        return {}
    facts = {
        "DAG_OWNER": ti.task.owner,
        "DAG_ID": ti.dag_id,
        "TASK_ID": ti.task_id,
        "EXECUTION_DATE": ti.logical_date.isoformat(),
        "TRY_NUMBER": str(ti.try_number),
        "DAG_RUN_ID": ti.run_id,
    }
    return {f"AIRFLOW_CTX_{name}": value for name, value in facts.items()} | {PROCESS_MARK: str(os.getpid())}
