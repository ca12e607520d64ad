"""Airflow's names for a while: whether they are served afterwards is as it was before."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager

from tradewind.compat import install, uninstall
from tradewind.compat.finder import AirflowFinder


@contextmanager
def served_airflow() -> Generator[None]:
    """`import airflow…` works inside the `with` block. Who loads DAG files installs the hook once a process, so a test
    that took it away would break those that come later.
    """
    before = any(isinstance(finder, AirflowFinder) for finder in sys.meta_path)
    assert install()
    try:
        yield
    finally:
        uninstall()
        if before:
            install(force=True)
