"""Plays Amazon (moto), Cloud Storage (gcp-storage-emulator), Vault and a machine with SSH (asyncssh), each on a port.

Prints the ports as one line of JSON, and ends with its standard input.
"""

import asyncio
import json
import os
import subprocess
import sys

import asyncssh
import vault
from gcp_storage_emulator.server import create_server
from moto.server import ThreadedMotoServer

USER, PASSWORD = "ann", "correct horse"


class Machine(asyncssh.SSHServer):
    """Lets one user in."""

    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        return (username, password) == (USER, PASSWORD)


async def carry_out(process):
    """Runs the command of a session with a real shell."""
    child = await asyncio.create_subprocess_shell(
        process.command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **process.env},
    )
    out, err = await child.communicate()
    process.stdout.write(out)
    process.stderr.write(err)
    process.exit(child.returncode)


async def main():
    amazon = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    amazon.start()
    google = create_server("127.0.0.1", 0, in_memory=True)
    google.start()
    machine = await asyncssh.create_server(
        Machine,
        "127.0.0.1",
        0,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        process_factory=carry_out,
        sftp_factory=True,
        encoding=None,
    )
    ports = {
        "amazon": amazon.get_host_and_port()[1],
        "google": google._api._httpd.server_address[1],
        "ssh": machine.get_port(),
        "vault": vault.start(),
    }
    print(json.dumps(ports), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)


asyncio.run(main())
