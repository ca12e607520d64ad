"""What DAGs of the specification take for granted on a machine, and a bare one does not have."""

from __future__ import annotations

import os
import shlex
import shutil
import sys

import pytest

CURL = """
import sys, urllib.error, urllib.request
_, options, file, address = sys.argv
assert options == "-sSo", options
try:
    answer = urllib.request.urlopen(address)
except urllib.error.HTTPError as error:  # an answer like any other, as long as nobody says --fail
    answer = error
with answer, open(file, "wb") as out:
    out.write(answer.read())
"""


@pytest.fixture(autouse=True)
def curl(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """`curl -sSo FILE ADDRESS`, where the machine has no curl."""
    if shutil.which("curl") is not None:
        return
    folder = tmp_path_factory.mktemp("programs")
    (folder / "curl.py").write_text(CURL)
    program = folder / "curl"
    program.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, str(folder / "curl.py")])} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), os.environ["PATH"]]))
