"""What Django's system checks say about this installation."""

import sqlite3
from typing import Any

from django.core import checks
from django.db import connection

# Several processes that write can spoil a database in WAL mode: "WAL-reset bug", sqlite.org/wal.html. The first release
# of each line in which that is mended.
_MENDED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))


def sqlite_version(**_: Any) -> list[checks.CheckMessage]:
    """Warn of an SQLite whose write-ahead log has a rare fault, where that is the database.

    It is a check of the database: `migrate` shows it, and `check --database default`; other commands stay silent.
    """
    if connection.vendor != "sqlite" or is_mended(sqlite3.sqlite_version_info):
        return []
    return [
        checks.Warning(
            f"SQLite {sqlite3.sqlite_version} can, very rarely, damage a database that several processes write to.",
            hint="Back DATA_DIR up, and use SQLite 3.51.3 or later (3.50.7, 3.44.6), or PostgreSQL (DATABASE_URL).",
            id="alerts.W001",
        )
    ]


def is_mended(version: tuple[int, ...]) -> bool:
    """Tell whether the fault is mended in that version of SQLite."""
    return version >= _MENDED[-1] or any(version[:2] == line[:2] and version >= line for line in _MENDED)
