"""Mail about failures over an encrypted connection, with a login, and what the task's log says of it."""

from __future__ import annotations

import asyncio
import email
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.policy import default
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.services.conftest import StartRuntime
from tests.services.mail_server import MailServer
from tests.services.test_alerts import written
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.model.rows import RunRow
from tradewind.worker.log import LogRef
from tradewind.worker.log_reader import read_log

pytestmark = pytest.mark.blocks_the_loop


class SecretMailServer(MailServer):
    """One that takes nothing before STARTTLS, and then wants a login."""

    def __init__(self, certificate: ssl.SSLContext) -> None:
        super().__init__()
        self.certificate = certificate
        self.said: list[bytes] = []
        self.left = asyncio.Event()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while (word := (await reader.readline()).strip().upper()) != b"STARTTLS":
            self.said.append(word)
            writer.write(b"250-here\r\n250 STARTTLS\r\n" if word.startswith(b"EHLO") else b"530 STARTTLS first\r\n")
        writer.write(b"220 go on\r\n")
        await writer.drain()
        try:
            await writer.start_tls(self.certificate)
        except (ssl.SSLError, ConnectionError):  # it does not trust us: nothing more is said
            writer.transport.abort()
            self.left.set()
            return
        while word := (await reader.readline()).strip():
            self.said.append(word)
            if word.upper().startswith(b"EHLO"):
                writer.write(b"250-here\r\n250 AUTH PLAIN\r\n")
            elif word.upper().startswith(b"AUTH"):
                writer.write(b"235 welcome\r\n")
            elif word.upper() == b"DATA":
                writer.write(b"354 go on\r\n")
                data = await reader.readuntil(b"\r\n.\r\n")
                self.mail.put_nowait(email.message_from_bytes(data[:-5], policy=default))
                writer.write(b"250 taken\r\n")
            else:
                writer.write(b"221 bye\r\n" if word.upper() == b"QUIT" else b"250 here\r\n")
            await writer.drain()
        writer.close()


def certificate_for_this_machine(folder: Path) -> Path:
    """A key with its own signature, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "mail.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file


@asynccontextmanager
async def secret_mail_server(file: Path) -> AsyncGenerator[SecretMailServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    box = SecretMailServer(context)
    server = await asyncio.start_server(box.talk, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    async with server:
        yield box


@pytest.fixture
async def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SecretMailServer]:
    """A server whose certificate this process trusts."""
    file = certificate_for_this_machine(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with secret_mail_server(file) as opened:
        yield opened


UC3 = """
from tradewind import PythonOperator

def breaks():
    raise ValueError("Bash command failed")

with DAG("chapter12_email", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC),
         default_args={"email": "bob@work.com"}):
    PythonOperator(task_id="failing_task", python_callable=breaks)
"""


async def failed_run(runtime: Runtime, dag_id: str) -> RunRow:
    run = await runtime.control.run_trigger(TriggerRequest(dag_id, unpause=True))
    ended = await runtime.control.run_wait(run.run_id, 60)
    assert ended.state.value == "failed"
    return ended


@pytest.mark.spec(
    "1:H4",
    "3:UC3",
    "3:L11",
    "3:9:smtp.smtp_host / _mail_from / _password / _port / _ssl / _starttls / _user",
)
async def test_a_login_after_starttls(start: StartRuntime, tmp_path: Path, box: SecretMailServer) -> None:
    runtime = await start(
        written(tmp_path, UC3),
        smtp__host="127.0.0.1",
        smtp__port=box.port,
        smtp__starttls=True,
        smtp__ssl=False,
        smtp__user="me",
        smtp__password="open-sesame",
        smtp__mail_from="tradewind@work.com",
    )
    run = await failed_run(runtime, "chapter12_email")
    message = await box.next()
    assert (message["To"], message["From"]) == ("bob@work.com", "tradewind@work.com")
    at = run.logical_date.isoformat()
    assert message["Subject"] == f"Airflow alert: <TaskInstance: chapter12_email.failing_task {at} [failed]>"
    text = message.get_content()
    for part in ("Try 1 out of 1", "Bash command failed", "Log: <a href", "Host: ", "Log file: ", "Mark success: <a"):
        assert part in text
    assert b"AUTH PLAIN AG1lAG9wZW4tc2VzYW1l" in box.said
    ref = LogRef("chapter12_email", run.dag_run_id, "failing_task")
    async with asyncio.timeout(60):
        while not (said := [line for line in await lines_of(runtime, ref) if "email" in line]):
            pass  # it is written after the mail was sent
    assert said == ["Sent an alert email to ['bob@work.com']"]


async def lines_of(runtime: Runtime, ref: LogRef) -> list[str]:
    page = await asyncio.to_thread(read_log, str(runtime.config.logging.folder), ref)
    return [record.message for record in page.records]


async def test_a_server_that_is_not_trusted_gets_nothing(
    start: StartRuntime, tmp_path: Path, box: SecretMailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    smtp = {"smtp__host": "127.0.0.1", "smtp__port": box.port, "smtp__starttls": True, "smtp__user": "me"}
    runtime = await start(written(tmp_path, UC3), **smtp)
    run = await failed_run(runtime, "chapter12_email")
    async with asyncio.timeout(60):
        await box.left.wait()
    assert not any(word.startswith(b"AUTH") for word in box.said)
    assert "email" not in "".join(await lines_of(runtime, LogRef("chapter12_email", run.dag_run_id, "failing_task")))
