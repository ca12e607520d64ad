"""The files that type checkers read are real DAGs."""

from __future__ import annotations

from tests.typing import clients, pipelines, waits


def test_the_pipelines_serialize() -> None:
    launches = pipelines.launches.to_spec()
    assert {t.task_id: t.executor for t in launches.tasks}["fetch_list"] == "inline"
    assert {t.task_id: t.expands for t in pipelines.mapped.to_spec().tasks}["measure__1"] == {"n": 2}
    assert {t.task_id for t in waits.waits.to_spec().tasks} == {"moment", "function", "other", "job", "file"}
    assert {t.executor for t in clients.clients.to_spec().tasks} == {"inline"}
    assert {t.task_id for t in pipelines.classic_dag.to_spec().tasks} >= {"load.bash", "section.inside", "branch"}
