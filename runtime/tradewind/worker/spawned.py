"""An attempt in a new interpreter, for DAG files that do not survive a fork.

``python -m tradewind.worker.spawned FD PARENT_PID FILE ROOT DEFAULTS``
"""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
from typing import NoReturn

from tradewind.authoring.dag import DAG
from tradewind.authoring.defaults import use_defaults
from tradewind.bundles.loader import load_file
from tradewind.bundles.parse_protocol import defaults_from_json
from tradewind.model.attempts import Attempt
from tradewind.worker.channel import ChannelClosed
from tradewind.worker.child import EXIT_RUNTIME_GONE, Order, Output, die_with_parent, run_child
from tradewind.worker.dag_missing import missing_dag


def main() -> NoReturn:
    """Imports the file inside the attempt: what that prints is in the attempt's log."""
    descriptor, parent, fileloc, root, defaults = sys.argv[1:6]
    die_with_parent(int(parent))
    lifelong = contextlib.ExitStack()
    if defaults:
        lifelong.enter_context(use_defaults(defaults_from_json(defaults)))

    def load(attempt: Attempt) -> DAG:
        dag = load_file(fileloc, root=root or None).dags.get(attempt.run.dag_id)
        if dag is None:
            raise missing_dag(attempt.run.dag_id, attempt.run.source)
        return dag

    try:
        order = Order(socket.socket(fileno=int(descriptor)))
    except ChannelClosed:
        sys.exit(EXIT_RUNTIME_GONE)
    output = Output()
    output.capture(logging.getLevelNamesMapping().get(str(order.settings.get("log_level", "INFO")), logging.INFO))
    run_child(order, output, load, socket.gethostname())


if __name__ == "__main__":
    main()
