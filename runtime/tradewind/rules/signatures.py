"""Signed messages of other services: who may prove with which header that a body is theirs. Pure.

======== ================================================================================================
github   ``X-Hub-Signature-256: sha256=HEX`` over the body
stripe   ``Stripe-Signature: t=SECONDS,v1=HEX[,v1=HEX]`` over ``SECONDS.body``
standard ``webhook-id``, ``webhook-timestamp``, ``webhook-signature: v1,BASE64 …`` over ``id.timestamp.body``
plain    a header of one's choice over the body, in hexadecimal or Base64 digits, with or without ``sha256=``
======== ================================================================================================

All are HMAC-SHA256. What is not signed proves nothing, so a message is known again by what is signed: of `stripe`
the event's own id within the body, of `standard` the signed id, of the others the body itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final, NamedTuple, cast

import orjson

from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json

STYLES: Final = ("github", "stripe", "standard", "plain")
TIMED: Final = ("stripe", "standard")
"""Styles whose signature covers a time."""

DEFAULT_TOLERANCE: Final = 300.0
STANDARD_PREFIX: Final = "whsec_"


class SignatureRefused(Exception):
    """The message cannot be shown to come from who has the secret. Says why."""


class SignedBy(NamedTuple):
    """How messages are signed. `header` is for `plain`; `tolerance`, in seconds, for styles with a time."""

    style: str
    header: str = ""
    tolerance: float = DEFAULT_TOLERANCE


def signed_by(said: Mapping[str, Json]) -> SignedBy:
    """Reads ``{"style": …, "header": …, "tolerance": …}``. Raises AuthoringError."""
    style, header = said.get("style", "plain"), said.get("header", "")
    tolerance = said.get("tolerance", DEFAULT_TOLERANCE)
    if style not in STYLES:
        raise AuthoringError(f"the style of a webhook is one of {', '.join(STYLES)}, not {style!r}")
    if not isinstance(header, str) or (style == "plain") != bool(header):
        raise AuthoringError("a webhook of style plain needs the name of a header; others have their own")
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)) or tolerance <= 0:
        raise AuthoringError(f"the tolerance of a webhook is a number of seconds above 0, not {tolerance!r}")
    return SignedBy(str(style), header, float(tolerance))


def verified(by: SignedBy, secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """A text that the same message has whenever it comes. `headers` by their names in lower case.

    Raises SignatureRefused: it is not signed, wrongly signed, or too old.
    """
    match by.style:
        case "github":
            given = _header(headers, "x-hub-signature-256")
            _check([_hex(given.removeprefix("sha256="))], secret.encode(), body)
            return _digest(body)
        case "stripe":
            return _stripe(by, secret, headers, body, now)
        case "standard":
            return _standard(by, secret, headers, body, now)
        case _:
            given = _header(headers, by.header.lower()).removeprefix("sha256=")
            _check([_hex(given), _base64(given)], secret.encode(), body)
            return _digest(body)


def _stripe(by: SignedBy, secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    pairs = [part.strip().partition("=") for part in _header(headers, "stripe-signature").split(",")]
    at = next((value for name, _, value in pairs if name == "t"), "")
    _check((_hex(value) for name, _, value in pairs if name == "v1"), secret.encode(), at.encode() + b"." + body)
    _check_time(by, at, now)
    try:
        told: Json = orjson.loads(body)
    except orjson.JSONDecodeError:
        told = None
    own: Json = cast("dict[str, Json]", told).get("id") if isinstance(told, dict) else None
    return own if isinstance(own, str) and own else _digest(body)


def _standard(by: SignedBy, secret: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    own, at = _header(headers, "webhook-id"), _header(headers, "webhook-timestamp")
    try:
        key = base64.b64decode(secret.removeprefix(STANDARD_PREFIX), validate=True)
    except binascii.Error:
        key = secret.encode()
    given = (part.partition(",") for part in _header(headers, "webhook-signature").split())
    _check((_base64(value) for version, _, value in given if version == "v1"), key, f"{own}.{at}.".encode() + body)
    _check_time(by, at, now)
    return own


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "").strip()
    if not value:
        raise SignatureRefused(f"there is no header {name}")
    return value


def _check(given: Iterable[bytes], key: bytes, signed: bytes) -> None:
    expected = hmac.new(key, signed, hashlib.sha256).digest()
    if not any(hmac.compare_digest(expected, one) for one in given):
        raise SignatureRefused("the signature does not fit")


def _check_time(by: SignedBy, at: str, now: datetime) -> None:
    """After the signature, so that only who has the secret learns of the clock."""
    try:
        seconds = int(at)
    except ValueError:
        raise SignatureRefused("the signature has no time") from None
    if abs(now.timestamp() - seconds) > by.tolerance:
        raise SignatureRefused(f"it was signed more than {by.tolerance:g} s ago, or the clocks differ")


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
