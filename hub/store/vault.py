"""Secrets at rest: encrypted with AES and an authenticated key set (Fernet), rotated by prepending."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from hub.sdk import json
from hub.sdk.errors import HubError

MASK = "••••••••"
"""What is shown in place of a secret. Sent back unchanged, it keeps the secret that is stored."""


class VaultError(HubError):
    """A secret cannot be read with the keys of `HUB_SECRET_KEYS`, or a key has the wrong form."""


class Vault:
    """Encrypts with the newest key and reads with any. Keys are Fernet keys (32 bytes, base64)."""

    def __init__(self, keys: Sequence[str]) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            message = (
                "HUB_SECRET_KEYS: each key is 32 bytes in URL-safe base64; make one with "
                "`hub doctor --new-key`"
            )
            raise VaultError(message) from error

    @staticmethod
    def new_key() -> str:
        """Return a new random key."""
        return Fernet.generate_key().decode()

    def seal(self, values: Mapping[str, Sequence[str]]) -> bytes:
        """Encrypt secrets: field name -> values, newest first (two live during a rotation)."""
        return self._fernet.encrypt(json.dumps(dict(values)))

    def open(self, sealed: bytes) -> dict[str, tuple[str, ...]]:
        """Decrypt what `seal` made. Raises `VaultError`."""
        try:
            plain = json.loads(self._fernet.decrypt(sealed))
        except InvalidToken as error:
            message = "a secret cannot be read: HUB_SECRET_KEYS lacks the key it was written with"
            raise VaultError(message) from error
        return {name: tuple(values) for name, values in plain.items()}

    def rotate(self, sealed: bytes) -> bytes:
        """Encrypt again with the newest key. Raises `VaultError`."""
        try:
            return self._fernet.rotate(sealed)
        except InvalidToken as error:
            message = "a secret cannot be read: HUB_SECRET_KEYS lacks the key it was written with"
            raise VaultError(message) from error
