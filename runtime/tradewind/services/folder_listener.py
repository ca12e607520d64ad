"""Hears of changes in the folder of a bundle, also where the folder itself goes and comes back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path

import anyio

from tradewind.bundles.folder_events import watching

log = logging.getLogger(__name__)


async def listen(root: Path, hint: Callable[[Iterable[str]], None], sweep_interval: float) -> None:
    """Calls `hint` with the paths that changed, and with the folder where anything in it may have. Ends never, but
    where the machine cannot watch: then the listing each `sweep_interval` seconds has to do. A folder that is
    replaced is watched anew.
    """
    there = anyio.Path(root)
    while True:
        try:
            async with watching(root) as events:
                hint([str(root)])
                while await there.is_dir():
                    paths = await events.next_burst()
                    hint(paths)
                    if str(root) in paths:
                        break  # it was moved, replaced, or points elsewhere
        except (FileNotFoundError, NotADirectoryError):
            log.warning("the DAG folder %s is gone; waiting for it to come back", root)
        except OSError as error:
            log.error("changes in %s cannot be watched, so it is listed each %g s: %s", root, sweep_interval, error)
            return
        while not await there.is_dir():
            await _something_in_nearest(root)


async def _something_in_nearest(root: Path) -> None:
    """The folder itself was removed: waits for a change in the nearest folder above that is left."""
    for above in root.parents:
        if await anyio.Path(above).is_dir():
            async with watching(above, recursive=False) as events:
                if not await anyio.Path(root).is_dir():
                    await events.next_burst()
            return
