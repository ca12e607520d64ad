"""A back end of one's own that keeps values elsewhere hears of each that goes because its task runs again."""

from __future__ import annotations

import pytest

from tests.services.conftest import StartRuntime
from tests.unit.authoring.stored_objects import InAFolder
from tradewind import DAG, get_current_context, task
from tradewind.control_ports import TriggerRequest


@pytest.mark.spec("1:X7")
async def test_values_of_earlier_tries_are_purged_before_the_body(
    start_on_each: StartRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def keys() -> list[str]:
        return sorted(place.rpartition("/")[2] for place in InAFolder.kept)

    with DAG("keeps", schedule=None) as dag:

        @task(retries=1, retry_delay=0)
        def give() -> str:
            seen.append(keys())
            ti = get_current_context()["ti"]
            ti.xcom_push(f"of try {len(seen)}", "value")
            if len(seen) == 1:
                raise ValueError("not yet")
            return "result"

        @task
        async def take(value: str) -> int:
            return len(value)

        take(give())
    monkeypatch.setattr(InAFolder, "kept", {})
    runtime = await start_on_each(dag, core__xcom_backend="tests.unit.authoring.stored_objects.InAFolder")
    run = await runtime.control.run_trigger(TriggerRequest("keeps", unpause=True))
    assert (await runtime.control.run_wait(run.run_id, 60)).state.value == "success"
    assert seen == [[], []], "the value of the first try was gone before the second one began"
    assert keys() == ["of try 2", "return_value", "return_value"]
    await runtime.control.instances_clear("keeps", run.dag_run_id, ["give", "take"])
    assert (await runtime.control.run_wait(run.run_id, 60)).state.value == "success"
    assert seen[2] == ["return_value"], "that of the task after it, which has yet to run"
    assert keys() == ["of try 3", "return_value", "return_value"]
    stored = await runtime.control.reads.xcom_list(run.run_id, "give")
    assert [entry.key for entry in stored] == ["of try 3", "return_value"]
