"""Keys that embedded mode makes for itself on first start, and keeps beside its database."""

import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet


def secret_key(directory: Path) -> str:
    """Return the key that signs sessions and forms."""
    return _kept(directory / "secret_key", secrets.token_urlsafe(50))


def credential_key(directory: Path) -> str:
    """Return the Fernet key that encrypts cluster and channel credentials."""
    return _kept(directory / "credential_key", Fernet.generate_key().decode())


def _kept(path: Path, fresh: str) -> str:
    """Return the content of `path`, private to its owner; the first process to ask writes `fresh` there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(fresh)
    try:
        # A hard link appears whole or not at all, so nobody reads half a key and the first writer wins.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text().strip()
