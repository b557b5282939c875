"""Bodies at rest: compressed, then encrypted, for nobody has looked yet at what secrets are in them."""

import os
from collections.abc import Buffer
from functools import lru_cache

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from alerts.models.credential import CredentialLost

_NONCE_SIZE = 12
# Audit events shrink to an eighth at the fastest level; the next ones cost time and gain nothing.
_LEVEL = 1


@lru_cache(maxsize=16)
def _cipher(key: str) -> AESGCM:
    """Return the cipher that belongs to one of CREDENTIAL_KEYS: AES-256-GCM, its key derived by HKDF (RFC 5869)."""
    return AESGCM(HKDF(SHA256(), 32, salt=None, info=b"rolecall archive").derive(key.encode()))


def pack(content: bytes) -> bytes:
    """Return the content as it may be stored."""
    return _sealed(zstandard.ZstdCompressor(level=_LEVEL).compress(content))


def _sealed(compressed: bytes) -> bytes:
    nonce = os.urandom(_NONCE_SIZE)
    return nonce + _cipher(settings.CREDENTIAL_KEYS[0]).encrypt(nonce, compressed, None)


def unpack(stored: Buffer) -> bytes:
    """Return what was packed.

    Raises CredentialLost where none of CREDENTIAL_KEYS decrypts it.
    """
    return zstandard.ZstdDecompressor().decompress(_opened(bytes(stored))[1])


def repack(stored: Buffer) -> bytes | None:
    """Return the same content encrypted with the first of CREDENTIAL_KEYS, or None where it is already.

    Raises CredentialLost.
    """
    key, compressed = _opened(bytes(stored))
    return None if key == settings.CREDENTIAL_KEYS[0] else _sealed(compressed)


def _opened(stored: bytes) -> tuple[str, bytes]:
    """Return the key that fits, and what it opened."""
    for key in settings.CREDENTIAL_KEYS:
        try:
            return key, _cipher(key).decrypt(stored[:_NONCE_SIZE], stored[_NONCE_SIZE:], None)
        except InvalidTag:
            continue
    raise CredentialLost(
        "This body was stored under a key that is not in CREDENTIAL_KEYS. Put the key back to read it."
    )
