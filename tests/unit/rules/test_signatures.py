"""Signed messages: those that fit, and every way in which they do not."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest

from tradewind.model.errors import AuthoringError
from tradewind.rules.signatures import SignatureRefused, SignedBy, signed_by, verified

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
AT = int(NOW.timestamp())
SECRET = "It's a Secret to Everybody"
BODY = b'{"id": "evt_1", "n": 1}'


def mac(signed: bytes, key: bytes = SECRET.encode()) -> bytes:
    return hmac.new(key, signed, hashlib.sha256).digest()


def stripe(at: int, body: bytes = BODY) -> dict[str, str]:
    return {"stripe-signature": f"t={at},v1={'0' * 64},v1={mac(f'{at}.'.encode() + body).hex()},v0=x"}


def standard(own: str, at: int, body: bytes = BODY) -> dict[str, str]:
    key = b"k" * 24
    given = base64.b64encode(mac(f"{own}.{at}.".encode() + body, key)).decode()
    return {"webhook-id": own, "webhook-timestamp": str(at), "webhook-signature": f"v1,AAAA v2,x v1,{given}"}


STANDARD_SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()
GITHUB, STRIPE, STANDARD, PLAIN = (
    SignedBy("github"),
    SignedBy("stripe"),
    SignedBy("standard"),
    SignedBy("plain", "X-Mac"),
)


def test_the_example_of_the_documentation_of_github() -> None:
    headers = {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}
    assert verified(GITHUB, SECRET, headers, b"Hello, World!", NOW) == hashlib.sha256(b"Hello, World!").hexdigest()


def test_what_fits() -> None:
    assert verified(STRIPE, SECRET, stripe(AT - 299), BODY, NOW) == "evt_1"
    assert verified(STRIPE, SECRET, stripe(AT, b"[]"), b"[]", NOW) == hashlib.sha256(b"[]").hexdigest()
    assert verified(STRIPE, SECRET, stripe(AT, b"\xff"), b"\xff", NOW) == hashlib.sha256(b"\xff").hexdigest()
    assert verified(STANDARD, STANDARD_SECRET, standard("msg_1", AT), BODY, NOW) == "msg_1"
    for given in (mac(BODY).hex(), f"sha256={mac(BODY).hex()}", base64.b64encode(mac(BODY)).decode()):
        assert verified(PLAIN, SECRET, {"x-mac": given}, BODY, NOW) == hashlib.sha256(BODY).hexdigest()


@pytest.mark.parametrize(
    ("by", "headers", "message"),
    [
        (GITHUB, {}, "no header x-hub-signature-256"),
        (GITHUB, {"x-hub-signature-256": f"sha256={mac(b'other').hex()}"}, "does not fit"),
        (GITHUB, {"x-hub-signature-256": "sha256=no hex"}, "does not fit"),
        (GITHUB, {"x-hub-signature-256": "sha256="}, "does not fit"),
        (STRIPE, {"stripe-signature": "nonsense"}, "does not fit"),
        (STRIPE, {"stripe-signature": f"t={AT}"}, "does not fit"),
        (STRIPE, stripe(AT, b"other"), "does not fit"),
        (
            STRIPE,
            {"stripe-signature": stripe(AT)["stripe-signature"].replace(f"t={AT}", f"t={AT + 1}")},
            "does not fit",
        ),
        (STRIPE, stripe(AT - 301), "more than 300 s ago"),
        (STRIPE, stripe(AT + 301), "clocks differ"),
        (STRIPE, {"stripe-signature": f"v1={mac(b'.' + BODY).hex()}"}, "has no time"),
        (STANDARD, standard("msg_1", AT) | {"webhook-id": "msg_2"}, "does not fit"),
        (STANDARD, standard("msg_1", AT - 400), "more than 300 s ago"),
        (PLAIN, {"x-mac": "~"}, "does not fit"),
    ],
)
def test_what_is_refused(by: SignedBy, headers: dict[str, str], message: str) -> None:
    secret = STANDARD_SECRET if by is STANDARD else SECRET
    with pytest.raises(SignatureRefused, match=message):
        verified(by, secret, headers, BODY, NOW)
    with pytest.raises(SignatureRefused):
        verified(by, "another secret", headers, BODY, NOW)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"style": "gitlab"}, "the style of a webhook"),
        ({"style": "plain"}, "needs the name of a header"),
        ({"style": "github", "header": "X"}, "others have their own"),
        ({"style": "stripe", "tolerance": 0}, "tolerance"),
        ({"style": "stripe", "tolerance": True}, "tolerance"),
    ],
)
def test_webhooks_that_cannot_be(said: dict[str, object], message: str) -> None:
    with pytest.raises(AuthoringError, match=message):
        signed_by(said)
