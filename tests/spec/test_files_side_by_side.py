"""How many DAG files are read at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.running_system import running_system

pytestmark = pytest.mark.blocks_the_loop

FILE = """
import os
import time
from pathlib import Path

from airflow import DAG

here = Path("PLACE")
(here / f"in-{os.getpid()}-NUMBER").touch()
end = time.monotonic() + 20
while len(list(here.glob("in-*"))) < 2 and time.monotonic() < end:
    time.sleep(0.01)
inside = len(list(here.glob("in-*"))) - len(list(here.glob("out-*")))
(here / f"seen-{inside}-NUMBER").touch()
(here / f"out-{os.getpid()}-NUMBER").touch()
dag = DAG("of_file_NUMBER", schedule_interval=None, start_date=None)
"""


@pytest.mark.spec("3:B05")
async def test_two_processes_read_files_and_never_more(tmp_path: Path, database_url: str) -> None:
    place = tmp_path / "seen"
    place.mkdir()
    (tmp_path / "dags").mkdir()
    for number in range(5):
        text = FILE.replace("PLACE", str(place)).replace("NUMBER", str(number))
        (tmp_path / f"dags/file_{number}.py").write_text(text)
    async with running_system(tmp_path, database_url, dags__parse_processes=2) as system:
        await system.knows(*(f"of_file_{number}" for number in range(5)))
    at_once = [int(path.name.split("-")[1]) for path in place.glob("seen-*")]
    assert len(at_once) == 5
    assert max(at_once) == 2, "side by side, and no third"
    assert len({path.name.split("-")[1] for path in place.glob("in-*")}) > 1, "processes, no threads"
