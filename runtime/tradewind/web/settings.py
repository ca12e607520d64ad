"""What the web server is started with: one frozen value, checked when it is made."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, cast

import orjson

from tradewind.authoring.webhook import Webhook
from tradewind.config import Config
from tradewind.home import WEB_SECRET, kept_secret
from tradewind.model.errors import AuthoringError, ConfigError
from tradewind.web.roles import Role

SECRET_BYTES: Final = 16
"""Least length of the secret that signs sessions and tokens, and of a token that reads the metrics."""


def _default_ui_folder() -> Path:
    return Path(__file__).parent / "ui" / "dist"


@dataclass(frozen=True, slots=True)
class WebConfig:
    """Settings of the web server. Raises ConfigError for values that cannot work."""

    secret_key: bytes = field(repr=False)
    """Signs sessions and tokens: 16 bytes or more, the same in every process that serves."""
    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes a free port."""
    ssl_cert: Path | None = None
    """Certificate (PEM); with it only HTTPS is spoken."""
    ssl_key: Path | None = None
    """Its private key; None: in the same file."""
    session_lifetime: timedelta = timedelta(days=30)
    """How long a login lasts. It is renewed while it is used."""
    public_role: Role = Role.PUBLIC
    """What people may do without a login; Public may do nothing."""
    cookie_secure: bool | None = None
    """Whether the session cookie is for HTTPS only. None: as the request came in."""
    forwarded_hops: int = 0
    """How many reverse proxies stand in front and set X-Forwarded-For, -Proto and -Host."""
    max_body_bytes: int = 1 << 20
    access_log: bool = False
    ui_folder: Path = field(default_factory=_default_ui_folder)
    """Where the built pages are."""
    heartbeat: float = 15.0
    """Seconds between comments on a silent event stream."""
    stream_lifetime: float = 3600.0
    """Seconds after which a stream ends, so that its reader comes back and is checked again."""
    test_connection: str = "Disabled"
    """Whether connections may be tried out: Enabled, or not."""
    webhooks: Mapping[str, Webhook] = field(default_factory=dict[str, Webhook])
    """By the name of the event; they count before those of DAGs."""
    exposed_config: Mapping[str, Mapping[str, str]] | None = field(default=None, repr=False)
    """Sections of the configuration that `GET /config` shows to Op and Admin. None: none."""

    metrics_public: bool = False
    """Whether `/metrics` asks for no login."""
    metrics_token: str | None = field(default=None, repr=False)
    """What reads `/metrics` besides logins."""

    def __post_init__(self) -> None:
        if len(self.secret_key) < SECRET_BYTES:
            raise ConfigError(
                f"web.secret_key has {len(self.secret_key)} bytes; it needs {SECRET_BYTES} or more. Make one with: "
                "python -c 'import secrets; print(secrets.token_hex(32))'"
            )
        if self.metrics_token is not None and len(self.metrics_token) < SECRET_BYTES:
            raise ConfigError(
                f"metrics.token has {len(self.metrics_token)} characters; it needs {SECRET_BYTES} or more. Make one "
                "with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            )
        if not 0 <= self.port <= 65_535:
            raise ConfigError(f"web.port is {self.port}; a port is between 0 and 65535 (--port)")
        if self.session_lifetime < timedelta(minutes=1):
            raise ConfigError("web.session_lifetime must be at least 60 seconds")
        for name in ("max_body_bytes", "heartbeat", "stream_lifetime"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"web.{name} must be greater than 0")
        if self.forwarded_hops < 0:
            raise ConfigError("web.forwarded_hops must be 0 or more")


def webhooks_of(text: str | None) -> dict[str, Webhook]:
    """Reads `web.webhooks`. Raises ConfigError: what is wrong with which of them."""
    try:
        said: Any = orjson.loads(text or "{}")
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"web.webhooks is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise ConfigError(
            'web.webhooks must be a JSON object: {"orders": {"secret": "variable:NAME", "style": "github"}}'
        )
    found: dict[str, Webhook] = {}
    for name, arguments in cast("dict[str, Any]", said).items():
        try:
            found[name] = Webhook(**arguments)
        except (TypeError, AuthoringError) as error:
            raise ConfigError(f"web.webhooks: {name!r}: {error}") from error
    return found


def web_config(config: Config) -> WebConfig:
    """The web server's settings as configured. The key that signs sessions is made once, in the home folder; reads
    and writes files there. Raises ConfigError.
    """
    secret = config.web.secret_key or kept_secret(config.home, WEB_SECRET, lambda: secrets.token_hex(32))
    return WebConfig(
        secret_key=secret.encode(),
        host=config.web.host,
        port=config.web.port,
        ssl_cert=None if config.web.ssl_cert is None else config.home / config.web.ssl_cert,
        ssl_key=None if config.web.ssl_key is None else config.home / config.web.ssl_key,
        session_lifetime=timedelta(seconds=config.web.session_lifetime),
        test_connection=config.core.test_connection,
        access_log=config.web.access_logfile is not None,
        webhooks=webhooks_of(config.web.webhooks),
        metrics_public=config.metrics.public,
        metrics_token=config.metrics.token,
    )
