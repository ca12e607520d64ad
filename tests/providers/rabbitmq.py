"""A RabbitMQ of the test's own: one node, its name service beside it, everything in a folder, on free ports."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tests.groups import rabbitmq

SETTINGS = """
listeners.tcp.1 = 127.0.0.1:{port}
log.console = true
log.console.level = warning
log.file = false
"""
LOOPBACK = "[{kernel, [{inet_dist_use_interface, {127,0,0,1}}]}]."


def free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


@contextmanager
def broker(folder: Path) -> Generator[int]:
    """Its port."""
    program = rabbitmq()
    assert program is not None
    port, names, distribution = free_ports(3)
    (folder / "rabbitmq.conf").write_text(SETTINGS.format(port=port))
    (folder / "advanced.config").write_text(LOOPBACK)
    own = {
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"tradewind{port}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
    }
    environment = {**os.environ, **own}
    epmd = subprocess.Popen(["epmd", "-port", str(names), "-address", "127.0.0.1"], env=environment)
    server = subprocess.Popen(
        [program], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        assert server.stdout is not None
        said: list[str] = []
        while not (line := server.stdout.readline()).startswith(" completed with"):
            said.append(line)
            assert line, f"RabbitMQ ended: {''.join(said)}"
        yield port
    finally:
        server.terminate()
        server.communicate(timeout=60)
        epmd.terminate()
        epmd.wait(timeout=60)
