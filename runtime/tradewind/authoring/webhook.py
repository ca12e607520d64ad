"""Webhooks: how other services post events, and how they prove who they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json
from tradewind.rules.signatures import DEFAULT_TOLERANCE, signed_by

WEBHOOK: Final = "webhook"
"""Where it stands in the extra of the asset that is the event."""

SECRET_PLACES: Final = ("variable:", "connection:")

Style = Literal["github", "stripe", "standard", "plain"]


@dataclass(frozen=True, slots=True)
class Webhook:
    """``POST /api/v1/webhooks/NAME`` takes the event NAME in where the body is signed with HMAC-SHA256.

    Args:
        secret: where the secret is kept: ``variable:NAME``, or ``connection:ID`` (its password).
        style: whose headers: ``github``, ``stripe``, ``standard`` (webhook-id, -timestamp, -signature), or ``plain``.
        header: of ``plain``, the header with the signature, in hexadecimal or Base64 digits.
        tolerance: how many seconds a signature with a time may be old.

    Raises:
        AuthoringError: something of these cannot be.
    """

    secret: str
    style: Style = "github"
    header: str = ""
    tolerance: float = DEFAULT_TOLERANCE

    def __post_init__(self) -> None:
        check_secret_place(self.secret)
        signed_by(self.to_json())

    def to_json(self) -> dict[str, Json]:
        """As it is stored."""
        said: dict[str, Json] = {"secret": self.secret, "style": self.style, "tolerance": self.tolerance}
        return {**said, "header": self.header} if self.header else said


def check_secret_place(place: object) -> None:
    """Raises AuthoringError unless it names a variable or a connection."""
    if not isinstance(place, str) or not any(place.startswith(p) and len(place) > len(p) for p in SECRET_PLACES):
        raise AuthoringError(
            "the secret of a webhook is kept in a variable or a connection: secret='variable:NAME' or 'connection:ID'"
        )
