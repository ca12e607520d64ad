"""A mail server that takes what it is given, for tests."""

from __future__ import annotations

import asyncio
import email
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from email.policy import default


class MailServer:
    """Its port, and the mail as it comes."""

    def __init__(self) -> None:
        self.port = 0
        self.mail: asyncio.Queue[EmailMessage] = asyncio.Queue()

    async def next(self) -> EmailMessage:
        async with asyncio.timeout(60):
            return await self.mail.get()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            word = line.strip().upper()
            if word == b"DATA":
                writer.write(b"354 go on\r\n")
                data = await reader.readuntil(b"\r\n.\r\n")
                self.mail.put_nowait(email.message_from_bytes(data[:-5], policy=default))
                writer.write(b"250 taken\r\n")
            elif word == b"QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 here\r\n")
        await writer.drain()
        writer.close()


@asynccontextmanager
async def mail_server() -> AsyncGenerator[MailServer]:
    box = MailServer()
    server = await asyncio.start_server(box.talk, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    async with server:
        yield box
