"""Specs that come from JSON share what is equal in them."""

from __future__ import annotations

from tradewind.model.specs import DagSpec, TaskSpec


def _read(*tasks: TaskSpec) -> DagSpec:
    return DagSpec.from_json(DagSpec("d", tasks).to_json())


def test_an_upstream_id_is_the_same_text_as_the_task_it_names() -> None:
    spec = _read(TaskSpec("first", "@task"), TaskSpec("second", "@task", upstream=("first",)))
    first, second = spec.tasks
    assert second.upstream[0] is first.task_id
    assert second.operator is first.operator


def test_equal_lists_of_texts_become_one_tuple() -> None:
    spec = _read(*(TaskSpec(f"t{n}", "@task", template_fields=("op_args", "op_kwargs")) for n in range(2)))
    assert spec.tasks[0].template_fields is spec.tasks[1].template_fields


def test_equal_numbers_of_other_kinds_stay_what_they_are() -> None:
    spec = _read(
        TaskSpec("a", "@task", extra={"values": [1, 0]}),
        TaskSpec("b", "@task", extra={"values": [True, False]}),
    )
    assert spec.tasks[0].extra["values"] == [1, 0]
    assert spec.tasks[1].extra["values"][0] is True


def test_a_task_that_says_nothing_more_has_an_empty_extra() -> None:
    assert _read(TaskSpec("a", "@task")).tasks == (TaskSpec("a", "@task"),)
