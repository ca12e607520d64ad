"""Secrets are shown as `***`: in logs, in rendered templates, in what the REST API answers.

A process knows the secrets that its code has looked up (passwords and secret-looking extras of
connections, variables with secret-looking names) and those that it was told of with `mask_secret`.
While it knows none, nothing is searched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast
from urllib.parse import quote

from tradewind.authoring.defaults import current_defaults

MASK: Final = "***"

SENSITIVE_WORDS: Final = frozenset(
    {
        "access_token",
        "api_key",
        "apikey",
        "authorization",
        "keyfile_dict",
        "passphrase",
        "passwd",
        "password",
        "private_key",
        "secret",
        "service_account",
        "token",
    }
)
"""A name that holds one of these words, in any case, is that of a secret."""

SHORTEST: Final = 3
"""Shorter texts are not masked: they would blot out half of every log."""

DEEPEST: Final = 5


def is_sensitive(name: str | None) -> bool:
    """Whether what has this name is a secret, by `core.sensitive_var_conn_names` too."""
    defaults = current_defaults()
    if not name or not defaults.hide_sensitive:
        return False
    low = name.strip().lower()
    return any(word in low for word in SENSITIVE_WORDS) or any(word in low for word in defaults.sensitive_names)


class SecretsMasker:
    """The secrets that one process knows."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def learn(self, secret: object, name: str | None = None) -> None:
        """A text is a secret if it has no name or a sensitive one; of mappings and lists, what they hold."""
        if not current_defaults().hide_sensitive:
            return
        before = len(self._secrets)
        self._collect(secret, name, DEEPEST)
        if len(self._secrets) != before:
            longest_first = sorted(self._secrets, key=lambda text: (-len(text), text))
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, text: str) -> str:
        """The text, with every secret in it masked."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def redact(self, value: Any, name: str | None = None, depth: int = DEEPEST) -> Any:
        """The value, with every secret in it masked: texts, and what mappings, lists, tuples and sets hold.
        What has a sensitive name is masked whole.
        """
        if isinstance(value, str):
            return MASK if value and name is not None and is_sensitive(name) else self.text(value)
        if depth <= 0:
            return value
        if isinstance(value, Mapping):
            items = cast("Mapping[object, object]", value).items()
            return {key: self.redact(item, str(key), depth - 1) for key, item in items}
        if isinstance(value, (list, tuple, set, frozenset)):
            values = [self.redact(item, name, depth - 1) for item in cast("Iterable[Any]", value)]
            return values if isinstance(value, list) else tuple(values) if isinstance(value, tuple) else set(values)
        return MASK if value is not None and name is not None and is_sensitive(name) else value

    def forget(self) -> None:
        """For tests: knows nothing any more."""
        self._secrets.clear()
        self._pattern = None

    def _collect(self, secret: object, name: str | None, depth: int) -> None:
        if isinstance(secret, str):
            if len(secret.strip()) >= SHORTEST and secret != MASK and (not name or is_sensitive(name)):
                self._secrets |= {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}
        elif depth > 0 and isinstance(secret, Mapping):
            for key, value in cast("Mapping[object, object]", secret).items():
                # what stands in a mapping is judged by its own key, or by a sensitive name above it
                self._collect(value, name if name and is_sensitive(name) else str(key), depth - 1)
        elif depth > 0 and isinstance(secret, (list, tuple, set, frozenset)):
            for item in cast("Iterable[object]", secret):
                self._collect(item, name, depth - 1)


masker: Final = SecretsMasker()
"""What this process knows."""


def mask_secret(secret: object, name: str | None = None) -> None:
    """From now on this text is shown as `***`. With a name: only if the name is that of a secret. Of a
    mapping, the values whose keys are.
    """
    masker.learn(secret, name)


def redact(value: Any, name: str | None = None) -> Any:
    """The value with all known secrets masked, and whole what has a secret's name."""
    return masker.redact(value, name)


def masked_text(text: str) -> str:
    """The text with all known secrets masked."""
    return masker.text(text)
