"""Variables and connections at rest: encrypted with a key that is kept outside the database."""

from __future__ import annotations

from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from tradewind.model.errors import ConfigError

KEY_OPTION: Final = "the option core.fernet_key"
"""Where the key comes from, as messages have it, when nobody says better."""


def generate_key() -> str:
    """A new key: 32 random bytes in URL-safe base64."""
    return Fernet.generate_key().decode("ascii")


class Vault:
    """Encrypts with the first of its keys, decrypts with any: old keys follow after a comma."""

    def __init__(self, keys: str, source: str = KEY_OPTION) -> None:
        """`source` says where the keys stand, for messages. Raises ConfigError for a key that is not one."""
        self.source = source
        try:
            ciphers = [Fernet(key.strip()) for key in keys.split(",")]
        except ValueError:
            raise ConfigError(
                f"the encryption key of {source} is not a Fernet key (32 bytes in URL-safe base64, several separated "
                "by commas). Make one with: tradewind generate-fernet-key"
            ) from None
        self._first = ciphers[0]
        self._cipher = MultiFernet(ciphers)

    def encrypt(self, text: str) -> bytes:
        """Any text, lone surrogates included."""
        return self._cipher.encrypt(text.encode("utf-8", "surrogatepass"))

    def opens(self, token: bytes) -> str | None:
        """The text; None where no key opens it."""
        try:
            return self._cipher.decrypt(token).decode("utf-8", "surrogatepass")
        except InvalidToken:
            return None

    def decrypt(self, token: bytes, what: str) -> str:
        """The text. `what` names it in the message of the ConfigError for a wrong key."""
        text = self.opens(token)
        if text is None:
            raise ConfigError(
                f"{what} was encrypted with another key than that of {self.source}: write the key that it was stored "
                'with after the present one and a comma (core.fernet_key = "new,old"), and run '
                "`tradewind rotate-fernet-key`; or, where that key is lost, store it again"
            )
        return text

    def renewed(self, token: bytes) -> bytes | None:
        """The same text under the first key; None where it is so already. Raises InvalidToken."""
        try:
            self._first.decrypt(token)
        except InvalidToken:
            return self._cipher.rotate(token)
        return None
