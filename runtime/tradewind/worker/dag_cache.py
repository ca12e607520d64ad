"""DAG objects for attempts that run in the runtime's own process: imported once a version, in a thread."""

from __future__ import annotations

import asyncio
import contextvars
from collections import OrderedDict

from tradewind.authoring.dag import DAG
from tradewind.bundles.loader import DagFileError, load_file
from tradewind.model.attempts import RunFacts
from tradewind.worker.dag_missing import bundle_root, missing_dag
from tradewind.worker.guard import current_owner

_KEPT = 64


class DagCache:
    """Least recently used DAGs by (file, its version, id); one import at a time for each.

    The version of a file is a digest over its text and all that it has read, so an edit of any of
    them is another entry.

    DAGs handed over by embedding code (`register`) are found by id, whatever their version.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._kept = kept
        self.load_within: float | None = None
        """Seconds that one import may take; one that takes longer goes on, and nobody waits for it."""
        self._registered: dict[str, DAG] = {}
        self._loaded: OrderedDict[tuple[str, str, str], DAG] = OrderedDict()
        self._loading: dict[tuple[str, str, str], asyncio.Task[DAG]] = {}

    def register(self, dag: DAG) -> None:
        """A DAG that needs no import."""
        self._registered[dag.dag_id] = dag

    def is_registered(self, dag_id: str) -> bool:
        """Whether the DAG was handed over as an object."""
        return dag_id in self._registered

    def get(self, run: RunFacts) -> DAG | None:
        """The DAG, if it is here."""
        dag = self._registered.get(run.dag_id)
        if dag is not None:
            return dag
        key = (run.source.fileloc, run.source.bundle_version, run.dag_id)
        dag = self._loaded.get(key)
        if dag is not None:
            self._loaded.move_to_end(key)
        return dag

    async def load(self, run: RunFacts) -> DAG:
        """Imports the file in a thread. Raises DagFileError (with its traceback), NotFoundError."""
        key = (run.source.fileloc, run.source.bundle_version, run.dag_id)
        task = self._loading.get(key)
        if task is None:
            context = contextvars.copy_context()  # of whoever asks first, for what holds where the file says nothing
            context.run(current_owner.set, None)  # but others wait for it too: it is not ended with him
            task = self._loading[key] = asyncio.get_running_loop().create_task(self._import(run), context=context)
            task.add_done_callback(lambda _: self._loading.pop(key, None))
        scope = asyncio.timeout(self.load_within)
        try:
            async with scope:
                return await asyncio.shield(task)
        except TimeoutError:
            if not scope.expired():
                raise
            text = f"TimeoutError: it has not been imported within {self.load_within:g} s (dags.import_timeout)\n"
            raise DagFileError(run.source.fileloc, text) from None

    async def _import(self, run: RunFacts) -> DAG:
        source = run.source
        loaded = await asyncio.to_thread(load_file, source.fileloc, root=bundle_root(source), private_helpers=True)
        dag = loaded.dags.get(run.dag_id)
        if dag is None:
            raise missing_dag(run.dag_id, source)
        self._loaded[source.fileloc, source.bundle_version, run.dag_id] = dag
        while len(self._loaded) > self._kept:
            self._loaded.popitem(last=False)
        return dag
