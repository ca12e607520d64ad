"""Plays HashiCorp Vault: its HTTP API as far as secrets of versions 1 and 2 are read with a token or a role."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN, ROLE, SECRET_ID = "airflow", "the role", "the role's secret"

CONNECTION = {"conn_uri": "http://ann:s3cr3t@example.org/?token=supersecret"}
SECRETS = {
    "secret/data/connections/from_there": {"data": CONNECTION, "metadata": {"version": 1}},
    "secret/data/variables/from_there": {"data": {"value": "Monday"}, "metadata": {"version": 1}},
    "old/connections/from_there": CONNECTION,
    "old/variables/from_there": {"value": "Monday"},
}


class Vault(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self):
        """A secret, or what is known about the token."""
        path = self.path.removeprefix("/v1/")
        if self.headers.get("X-Vault-Token") != TOKEN:
            self.answer(403, {"errors": ["permission denied"]})
        elif path == "auth/token/lookup-self":
            self.answer(200, {"data": {"id": TOKEN, "policies": ["root"]}})
        elif path in SECRETS:
            self.answer(200, {"data": SECRETS[path]})
        else:
            self.answer(404, {"errors": []})

    def do_POST(self):
        """A login by role."""
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/auth/approle/login" and given == {"role_id": ROLE, "secret_id": SECRET_ID}:
            self.answer(200, {"auth": {"client_token": TOKEN}})
        else:
            self.answer(400, {"errors": ["invalid role or secret ID"]})

    def answer(self, status, body):
        """Sends JSON."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments):
        """Says nothing."""


def start():
    """Serves on a port of its own, which is returned."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Vault)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]
