"""Mail about failed tries and missed SLAs, where `[smtp]` names a server. Sent from a thread."""

from __future__ import annotations

import asyncio
import contextlib
import html
import logging
import smtplib
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final, NamedTuple, cast
from urllib.parse import quote

import orjson

from tradewind.config import Config
from tradewind.model.rows import OutboxItem, RunRow

log = logging.getLogger(__name__)

_BEETLE: Final = r"""
      \   ^__^   /
   \   \_/    \_/   /
    \__/   ||   \__/
   ---(    ||    )---
    __(    ||    )__
   /   \___||___/   \
  /   /          \   \
"""


class OfTry(NamedTuple):
    """The try that a mail is about."""

    dag_id: str
    dag_run_id: str
    task_id: str
    map_index: int
    try_number: int


SayInLog = Callable[[OfTry, str], None]
"""Adds a line to the log of a try that has ended. May block; raises OSError."""


class Mailer:
    """Turns outbox rows into mail. Without a server they are let go: nobody has asked for mail."""

    def __init__(self, config: Config, say: SayInLog | None = None) -> None:
        """`say` tells the log of a try that mail about it was sent; None: only our own log has it."""
        self._smtp = config.smtp
        self._say = say
        self._log_folder = config.logging.folder
        host = "localhost" if config.web.host in ("0.0.0.0", "::") else config.web.host  # noqa: S104 - compared only
        self._pages = f"{'http' if config.web.ssl_cert is None else 'https'}://{host}:{config.web.port}"

    async def __call__(self, item: OutboxItem, run: RunRow) -> bool:
        """Whether it was sent, or there is nothing to send. A failure is logged."""
        body = cast("dict[str, Any]", orjson.loads(item.body))
        to = list(dict.fromkeys(addresses(body.get("to"))))
        if self._smtp.host is None or not to:
            return True
        message = self._of_a_miss(body, item.dag_id) if item.kind == "sla_email" else self._of_a_try(body, run)
        message["To"] = ", ".join(to)
        message["From"] = self._smtp.mail_from
        try:
            await asyncio.to_thread(self._send, message)
        except (OSError, smtplib.SMTPException) as error:
            log.error("mail about DAG %s could not be sent to %s: %s", item.dag_id, to, error)
            return False
        log.info("Sent an alert email to %s: %s", to, message["Subject"])
        if item.kind == "email" and self._say is not None:
            told = OfTry(run.dag_id, run.dag_run_id, body["task_id"], body["map_index"], body["try_number"])
            await asyncio.to_thread(self._tell_log, told, f"Sent an alert email to {to}")
        return True

    def _tell_log(self, told: OfTry, text: str) -> None:
        assert self._say is not None
        try:
            self._say(told, text)
        except OSError as error:
            log.warning("%s; the log of the try cannot be written: %s", text, error)

    def _of_a_try(self, body: dict[str, Any], run: RunRow) -> EmailMessage:
        task_id, number = body["task_id"], body["try_number"]
        state = "failed" if body["which"] == "on_failure" else "up_for_retry"
        at = run.logical_date.isoformat()
        place = f"/dags/{quote(run.dag_id)}/runs/{quote(run.dag_run_id)}/tasks/{quote(task_id)}"
        parts = [f"dag_id={run.dag_id}", f"run_id={run.dag_run_id}", f"task_id={task_id}"]
        if body["map_index"] >= 0:
            parts.append(f"map_index={body['map_index']}")
        file = Path(self._log_folder, *parts, f"attempt={number}.jsonl")
        message = EmailMessage()
        message["Subject"] = f"Airflow alert: <TaskInstance: {run.dag_id}.{task_id} {at} [{state}]>"
        lines = [
            f"Try {number} out of {body['max_tries']}",
            f"Exception:<br>{html.escape(body.get('reason') or 'unknown')}",
            f'Log: <a href="{self._pages}{place}/logs?try={number}">Link</a>',
            f"Host: {html.escape(body.get('hostname') or 'unknown')}",
            f"Log file: {html.escape(str(file))}",
            f'Mark success: <a href="{self._pages}{place}">Link</a>',
        ]
        message.set_content("<br>\n".join(lines) + "<br>\n", subtype="html")
        return message

    def _of_a_miss(self, body: dict[str, Any], dag_id: str) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = f"[tradewind] SLA miss on DAG={dag_id}"
        missed, blocking = (_listed(body[name]) for name in ("tasks", "blocking"))
        message.set_content(
            "Here's a list of tasks that missed their SLAs:\n"
            f"<pre><code>{missed}\n</code></pre>\n"
            "Blocking tasks:\n"
            f"<pre><code>{blocking}\n{html.escape(_BEETLE)}</code></pre>\n",
            subtype="html",
        )
        return message

    def _send(self, message: EmailMessage) -> None:
        smtp = self._smtp
        assert smtp.host is not None
        if smtp.ssl:
            secure = ssl.create_default_context()
            server: smtplib.SMTP = smtplib.SMTP_SSL(smtp.host, smtp.port, timeout=smtp.timeout, context=secure)
        else:
            server = smtplib.SMTP(smtp.host, smtp.port, timeout=smtp.timeout)
        try:
            if smtp.starttls and not smtp.ssl:
                server.starttls(context=ssl.create_default_context())
            if smtp.user:
                server.login(smtp.user, smtp.password or "")
            server.send_message(message)
            with contextlib.suppress(smtplib.SMTPServerDisconnected):
                server.quit()
        finally:
            server.close()  # without a word where it went wrong: the other side may never answer one


def addresses(given: object) -> list[str]:
    """One address, several in a text with commas or semicolons between them, or a list, as a list."""
    if isinstance(given, str):
        return [part.strip() for part in given.replace(";", ",").split(",") if part.strip()]
    if isinstance(given, (list, tuple)):
        return [address for one in cast("Sequence[object]", given) for address in addresses(one)]
    return []


def _listed(items: list[dict[str, Any]]) -> str:
    lines = (f"{one['task_id']} on {datetime.fromisoformat(one['logical_date']).isoformat()}" for one in items)
    return html.escape("\n".join(lines))
