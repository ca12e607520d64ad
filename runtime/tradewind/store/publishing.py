"""Parsed DAG files become versions; files that are gone retire their DAGs."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Final

from tradewind.failpoints import failpoint
from tradewind.model.rows import Lease, ParsedFile
from tradewind.model.specs import DagSource
from tradewind.store.assets import write_uses
from tradewind.store.columns import text_bytes
from tradewind.store.connection import Row, Session
from tradewind.store.decode import dag_of
from tradewind.store.lines import Lines, touch
from tradewind.store.publication import ParsedDag, Publication, PublishedDag, parsed_dags, plan_publication
from tradewind.store.statements import statement

_HASHED_IN_THREAD: Final = 200
"""From so many tasks on, specs are serialized and hashed off the loop."""


class Publishing(Lines):
    """`Store.dag_publish` and `dag_retire`."""

    async def dag_publish(self, lease: Lease, bundle: str, files: Sequence[ParsedFile]) -> list[str]:
        """As `Store.dag_publish`. A file with an error keeps the DAGs that it defined before."""
        if sum(len(spec.tasks) for file in files for spec in file.dags) < _HASHED_IN_THREAD:
            parsed = parsed_dags(files)
        else:
            parsed = await asyncio.to_thread(parsed_dags, files)
        names = [file.source.relative_fileloc for file in files]
        async with self._bulk.session() as session, session.transaction():
            await _run(session, "dag_lock_publishing")
            codes = {hashlib.sha256(code).digest(): code for code in map(_code, parsed) if code is not None}
            await _run(session, "dag_code_insert", hashes=list(codes), codes=list(codes.values()))
            await touch(session, lease)
            ids = [dag.spec.dag_id for dag in parsed]
            known = [dag_of(row) for row in await _run(session, "dag_known", dag_ids=ids, bundle=bundle, files=names)]
            versions = [(dag, digest, n) for dag, digest, n in await _run(session, "dag_versions_known", dag_ids=ids)]
            plan = plan_publication(files, parsed, {dag.dag_id: dag for dag in known}, versions)
            await _write(session, lease, plan)
            await write_uses(session, plan)
            await _write_errors(session, bundle, files)
            failpoint("store.publish.before_commit")
        failpoint("store.publish.after_commit")
        return plan.changed

    async def dag_retire(self, lease: Lease, bundle: str, relative_filelocs: Sequence[str]) -> list[str]:
        """As `Store.dag_retire`."""
        async with self._bulk.session() as session, session.transaction():
            await touch(session, lease)
            rows = await _run(session, "dag_retire", bundle=bundle, files=relative_filelocs)
            await _run(session, "import_error_clear", bundle=bundle, files=relative_filelocs)
        return sorted(row["dag_id"] for row in rows)


async def _write(session: Session, lease: Lease, plan: Publication) -> None:
    fresh = [dag for dag in plan.dags if dag.is_new_version]
    if fresh:
        specs = [dag.dag.text for dag in fresh]
        await _run(session, "dag_version_insert", specs=specs, **_version_columns(fresh))
    known = [dag for dag in plan.dags if not dag.is_new_version and len(dag.dag.spec.params) > 1]
    if known:
        columns = _version_columns(known)
        specs = [dag.dag.text for dag in known]
        await _run(session, "dag_version_params", dag_ids=columns["dag_ids"], hashes=columns["hashes"], specs=specs)
    if plan.dags:
        codes = [None if code is None else hashlib.sha256(code).digest() for code in (_code(d.dag) for d in plan.dags)]
        columns = _version_columns(plan.dags)
        await _run(session, "dag_version_code", dag_ids=columns["dag_ids"], hashes=columns["hashes"], codes=codes)
        paused = [dag.is_paused for dag in plan.dags]
        await _run(session, "dag_upsert", runtime_id=lease.runtime_id, paused=paused, **columns)
    if plan.deactivated:
        await _run(session, "dag_deactivate", dag_ids=plan.deactivated)


async def _write_errors(session: Session, bundle: str, files: Sequence[ParsedFile]) -> None:
    failed = {f.source.relative_fileloc: (f.source.fileloc, text_bytes(f.error)) for f in files if f.error is not None}
    sound = [f.source.relative_fileloc for f in files if f.source.relative_fileloc not in failed]
    if sound:
        await _run(session, "import_error_clear", bundle=bundle, files=sound)
    if failed:
        filelocs, traces = zip(*failed.values(), strict=True)
        await _run(session, "import_error_set", bundle=bundle, files=list(failed), filelocs=filelocs, traces=traces)


def _version_columns(dags: Sequence[PublishedDag]) -> dict[str, list[object]]:
    sources: list[DagSource] = [dag.dag.source for dag in dags]
    return {
        "dag_ids": [dag.dag.spec.dag_id for dag in dags],
        "hashes": [dag.dag.version_hash for dag in dags],
        "numbers": [dag.number for dag in dags],
        "bundles": [source.bundle for source in sources],
        "bundle_versions": [source.bundle_version for source in sources],
        "filelocs": [source.fileloc for source in sources],
        "relative_filelocs": [source.relative_fileloc for source in sources],
    }


def _code(dag: ParsedDag) -> bytes | None:
    return None if dag.code is None else text_bytes(dag.code)


async def _run(session: Session, name: str, **given: object) -> list[Row]:
    query = statement("dag", name)
    return await session.fetch(query.text, *query.values(given))
