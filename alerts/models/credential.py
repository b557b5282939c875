"""Secrets at rest: encrypted with a rotatable key, written once, read only where they are used."""

from collections.abc import Buffer

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class CredentialLost(Exception):
    """A stored credential that none of the keys in CREDENTIAL_KEYS can decrypt."""


def _keys() -> MultiFernet:
    return MultiFernet([Fernet(key) for key in settings.CREDENTIAL_KEYS])


def encrypt(secret: str) -> bytes:
    """Return the secret encrypted with the first key."""
    return _keys().encrypt(secret.encode())


def decrypt(sealed: Buffer) -> str:
    """Return the secret.

    Raises CredentialLost where no key fits.
    """
    try:
        return _keys().decrypt(bytes(sealed)).decode()
    except InvalidToken:
        raise CredentialLost(
            "This credential was encrypted with a key missing from CREDENTIAL_KEYS. Enter it again, or restore the key."
        ) from None


def is_current(sealed: Buffer) -> bool:
    """Tell whether it was encrypted with the first key."""
    try:
        Fernet(settings.CREDENTIAL_KEYS[0]).decrypt(bytes(sealed))
    except InvalidToken:
        return False
    return True


def rotate(sealed: Buffer) -> bytes:
    """Return the same secret encrypted with the first key.

    Raises CredentialLost where no key fits.
    """
    try:
        return _keys().rotate(bytes(sealed))
    except InvalidToken:
        raise CredentialLost(
            "A stored credential fits none of the keys in CREDENTIAL_KEYS; nothing was changed."
        ) from None
