"""What to say, and where to look, when a DAG is to be taken from its file."""

from __future__ import annotations

from tradewind.model.errors import NotFoundError
from tradewind.model.specs import DagSource


def bundle_root(source: DagSource) -> str | None:
    """The folder that the file's relative path starts from."""
    relative = source.relative_fileloc
    if relative and source.fileloc.endswith("/" + relative):
        return source.fileloc[: -len(relative) - 1] or "/"
    return None


def missing_dag(dag_id: str, source: DagSource) -> NotFoundError:
    """The file was loaded, but the DAG is not in it any more."""
    return NotFoundError(f"{source.fileloc} does not define DAG {dag_id!r} any more; the run began when it did")
