"""Where the Valkey of embedded mode listens: a unix socket, so there is no port for others to reach."""

import hashlib
import os
import re
import tempfile
from pathlib import Path


def socket(directory: Path) -> Path:
    """Return the socket's path: in `directory`, or in a private one under the system's temporary directory.

    A unix socket's path holds 107 bytes (unix(7)), and Celery reads it from a URL, so a path that is long or would
    need escaping there is replaced by a short one that is the same at every start.
    """
    path = directory / "valkey.sock"
    if re.fullmatch(r"[A-Za-z0-9/._-]{1,100}", str(path)):
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
    return Path(tempfile.gettempdir(), f"rolecall-{os.getuid()}-{digest}", "valkey.sock")
