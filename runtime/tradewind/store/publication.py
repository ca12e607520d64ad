"""What publishing parsed DAG files changes: worked out once, for both stores, without any I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tradewind.model.rows import DagRow, ParsedFile
from tradewind.model.specs import DagSource, DagSpec


class ParsedDag(NamedTuple):
    """One DAG of one parsed file, with its JSON and the hash of that."""

    spec: DagSpec
    text: bytes
    version_hash: str
    source: DagSource
    code: str | None


class PublishedDag(NamedTuple):
    """A DAG as it will stand: the version in force, and whether it is a new one."""

    dag: ParsedDag
    number: int
    is_new_version: bool
    is_paused: bool
    """For a DAG that is not there yet; others keep theirs."""


@dataclass(slots=True)
class Publication:
    """All changes of one publication."""

    dags: list[PublishedDag] = field(default_factory=list[PublishedDag])
    deactivated: list[str] = field(default_factory=list[str])
    changed: list[str] = field(default_factory=list[str])
    """DAGs whose current version, source or activity is another one now."""


def parsed_dags(files: Sequence[ParsedFile]) -> list[ParsedDag]:
    """The DAGs of the files; of two with one id, the one of the later file."""
    found: dict[str, ParsedDag] = {}
    for file in files:
        for spec in file.dags:
            text, version_hash = spec.serialized()
            found[spec.dag_id] = ParsedDag(spec, text, version_hash, file.source, file.code)
    return list(found.values())


def plan_publication(
    files: Sequence[ParsedFile],
    parsed: Sequence[ParsedDag],
    known: Mapping[str, DagRow],
    versions: Iterable[tuple[str, str, int]],
) -> Publication:
    """What is to be written.

    `known` holds the DAGs named in `parsed` and those whose file is among `files`; `versions` all
    (DAG id, hash, number) of the DAGs named in `parsed`. A file with an error keeps the DAGs that it
    defined before: a slip of the pen in a file does not stop its DAGs.
    """
    numbers: dict[tuple[str, str], int] = {}
    latest: dict[str, int] = {}
    for dag_id, version_hash, number in versions:
        numbers[dag_id, version_hash] = number
        latest[dag_id] = max(number, latest.get(dag_id, 0))
    plan = Publication()
    for dag in parsed:
        dag_id = dag.spec.dag_id
        existing = numbers.get((dag_id, dag.version_hash))
        before = known.get(dag_id)
        plan.dags.append(
            PublishedDag(
                dag=dag,
                number=latest.get(dag_id, 0) + 1 if existing is None else existing,
                is_new_version=existing is None,
                is_paused=dag.spec.is_paused_upon_creation is not False,
            )
        )
        if before is None or _differs(before, dag):
            plan.changed.append(dag_id)
    defined = {dag.spec.dag_id for dag in parsed}
    sound = {(f.source.bundle, f.source.relative_fileloc) for f in files if f.error is None}
    for dag_id, row in known.items():
        gone = dag_id not in defined and (row.source.bundle, row.source.relative_fileloc) in sound
        if gone and row.is_active:
            plan.deactivated.append(dag_id)
            plan.changed.append(dag_id)
    plan.changed.sort()
    return plan


def _differs(before: DagRow, dag: ParsedDag) -> bool:
    return not before.is_active or before.version_hash != dag.version_hash or before.source != dag.source
