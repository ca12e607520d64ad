"""Asking a running server what is in its memory alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import click

from tradewind.cli.connected import ask_store
from tradewind.cli.failures import Failure
from tradewind.home import told_address

if TYPE_CHECKING:
    from tradewind.config import Config
    from tradewind.ports import Store

_ANSWERS_WITHIN: Final = 10.0

url_option = click.option("--url", help="Of the server to ask; by default the one that runs on this home.")
username_option = click.option(
    "-u", "--username", default="admin", show_default=True, help="The login in whose name it is asked."
)


def ask_server(config: Config, path: str, url: str | None, username: str) -> dict[str, Any]:
    """What `GET /api/v1/{path}` answers. The key of the home folder signs the request. Raises Failure."""
    token = ask_store(config, lambda store: _session(config, store, username))
    return _asked(f"{(url or _address(config)).rstrip('/')}/api/v1/{path}", token)


def _address(config: Config) -> str:
    """Where the server of this home says that it listens, else what is configured."""
    told = told_address(config.home)
    if told is not None:
        return told
    host = config.web.host
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - what a server listens on is not what one asks
        host = "127.0.0.1"
    scheme = "http" if config.web.ssl_cert is None else "https"
    return f"{scheme}://[{host}]:{config.web.port}" if ":" in host else f"{scheme}://{host}:{config.web.port}"


async def _session(config: Config, store: Store, username: str) -> str:
    """A session that the server will take for one of its own."""
    import asyncio
    from datetime import timedelta

    from tradewind.web.auth.sessions import SessionSigner
    from tradewind.web.settings import web_config

    user = await store.user_get(username)
    if user is None or not user.is_active:
        raise Failure(f"There is no login {username} that may be used: name one with --username")
    settings = await asyncio.to_thread(web_config, config)
    return SessionSigner(settings.secret_key, timedelta(minutes=1)).begin(username, user.password_hash)


def _asked(url: str, token: str) -> dict[str, Any]:
    import json
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    from tradewind.web.auth.identity import COOKIE

    if not url.startswith(("http://", "https://")):
        raise Failure(f"--url: an address that begins with http:// or https:// is needed, not {url!r}")
    request = Request(url, headers={"Cookie": f"{COOKIE}={token}", "Accept": "application/json"})  # noqa: S310 - checked
    try:
        with urlopen(request, timeout=_ANSWERS_WITHIN) as answer:  # noqa: S310 - checked above
            return cast("dict[str, Any]", json.load(answer))
    except HTTPError as error:
        if error.code in (401, 403):
            raise Failure(
                f"{url} refuses the request ({error.code}): is the home folder (or web.secret_key) the server's own?"
            ) from error
        raise Failure(f"{url} answers {error.code} {error.reason}") from error
    except (URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Failure(f"No server answers at {url} ({reason}). Is it running? Where it listens: --url") from error
