"""Which file defines which DAG: an id belongs to the file that had it first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tradewind.bundles.parser import FileToParse


class ClaimOutcome(NamedTuple):
    """`taken`: refused ids with the file that has each. `freed`: files that may now get what they were refused."""

    taken: dict[str, FileToParse]
    freed: set[FileToParse]


class DagClaims:
    """The holders of DAG ids, and who was refused one."""

    def __init__(self) -> None:
        self._holder: dict[str, FileToParse] = {}
        self._held: dict[FileToParse, set[str]] = {}
        self._refused: dict[str, set[FileToParse]] = {}

    def claim(self, file: FileToParse, dag_ids: Iterable[str]) -> ClaimOutcome:
        """The file defines exactly these ids now."""
        wanted = list(dag_ids)
        freed = self._give_up(file, keep=set(wanted))
        taken: dict[str, FileToParse] = {}
        for dag_id in wanted:
            holder = self._holder.setdefault(dag_id, file)
            if holder == file:
                self._held.setdefault(file, set()).add(dag_id)
            else:
                taken[dag_id] = holder
                self._refused.setdefault(dag_id, set()).add(file)
        return ClaimOutcome(taken, freed)

    def release(self, file: FileToParse) -> set[FileToParse]:
        """The file is gone. Returns files that were refused an id of its."""
        return self._give_up(file, keep=set())

    def move(self, bundle: str, root: str) -> None:
        """All files of the bundle are below another root now; what they define stays theirs."""

        def moved(file: FileToParse) -> FileToParse:
            return file._replace(root=root) if file.bundle == bundle else file

        self._holder = {dag_id: moved(file) for dag_id, file in self._holder.items()}
        self._held = {moved(file): ids for file, ids in self._held.items()}
        self._refused = {dag_id: {moved(file) for file in files} for dag_id, files in self._refused.items()}

    def _give_up(self, file: FileToParse, keep: set[str]) -> set[FileToParse]:
        freed: set[FileToParse] = set()
        held = self._held.get(file, set())
        for dag_id in held - keep:
            held.discard(dag_id)
            del self._holder[dag_id]
            freed |= self._refused.pop(dag_id, set())
        if not held:
            self._held.pop(file, None)
        for dag_id in [dag_id for dag_id, files in self._refused.items() if file in files and dag_id not in keep]:
            self._refused[dag_id].discard(file)
        return freed - {file}
