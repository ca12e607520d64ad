"""Variables and connections at rest: encrypted with a key that is kept outside the database."""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from tradewind.model.errors import ConfigError


def generate_key() -> str:
    """A new key: 32 random bytes in URL-safe base64."""
    return Fernet.generate_key().decode("ascii")


class Vault:
    """Encrypts with the first of its keys, decrypts with any: old keys follow after a comma."""

    def __init__(self, keys: str) -> None:
        """Raises ConfigError for a key that is not one."""
        try:
            ciphers = [Fernet(key.strip()) for key in keys.split(",")]
        except ValueError:
            raise ConfigError(
                "the encryption key is not a Fernet key (32 bytes in URL-safe base64, several separated by commas)"
            ) from None
        self._cipher = MultiFernet(ciphers)

    def encrypt(self, text: str) -> bytes:
        """Any text, lone surrogates included."""
        return self._cipher.encrypt(text.encode("utf-8", "surrogatepass"))

    def decrypt(self, token: bytes, what: str) -> str:
        """The text. `what` names it in the message of the ConfigError for a wrong key."""
        try:
            return self._cipher.decrypt(token).decode("utf-8", "surrogatepass")
        except InvalidToken:
            raise ConfigError(
                f"{what} was encrypted with another key: give the key that it was stored with, after the new one "
                "and a comma, or set it again"
            ) from None
