"""`airflow.utils.email`: mail as a MIME message, for hooks that hand it to a service."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.utils import formatdate
from pathlib import Path


def get_email_address_list(addresses: str | Iterable[str]) -> list[str]:
    """The addresses of a text, with `,` or `;` between, or of several such texts."""
    texts = [addresses] if isinstance(addresses, str) else list(addresses)
    return [part for text in texts for part in re.split(r"\s*[,;]\s*", text.strip()) if part]


def build_mime_message(  # noqa: PLR0913 - the arguments of Airflow's function of this name
    mail_from: str | None,
    to: str | Iterable[str],
    subject: str,
    html_content: str,
    files: Iterable[str] | None = None,
    cc: str | Iterable[str] | None = None,
    bcc: str | Iterable[str] | None = None,
    mime_subtype: str = "mixed",
    mime_charset: str = "utf-8",
    custom_headers: Mapping[str, str] | None = None,
) -> tuple[MIMEMultipart, list[str]]:
    """The message, and all who are to get it. Raises OSError for a file that cannot be read."""
    message = MIMEMultipart(mime_subtype)
    message["Subject"] = subject
    if mail_from:
        message["From"] = mail_from
    visible = get_email_address_list(to)
    message["To"] = ", ".join(visible)
    copies = get_email_address_list(cc or ())
    if copies:
        message["CC"] = ", ".join(copies)
    message["Date"] = formatdate(localtime=True)
    message.attach(MIMEText(html_content, "html", mime_charset))
    for file in map(Path, files or ()):
        part = MIMEApplication(file.read_bytes(), Name=file.name)
        part.add_header("Content-Disposition", "attachment", filename=file.name)
        part.add_header("Content-ID", f"<{file.name}>")
        message.attach(part)
    for name, text in (custom_headers or {}).items():
        message[name] = text
    return message, visible + copies + get_email_address_list(bcc or ())
