"""The database backend."""

import sqlite3
import time

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

# A transaction that stores a batch takes about as long.
_STEP_SECONDS = 0.004


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose transactions ask every few milliseconds whether they may begin, for as long as TIMEOUT says.

    SQLite's own waiting (sqliteDefaultBusyCallback in main.c) soon asks only ten times a second. A worker that begins
    its next transaction right after its last is always there first, and whoever posts waits much longer than need be.
    """

    def _start_transaction_under_autocommit(self) -> None:
        limit = float(self.settings_dict["OPTIONS"].get("timeout", 5))
        until = time.monotonic() + limit
        self._let_sqlite_wait(0)
        try:
            while not self._begun(last=time.monotonic() >= until):
                time.sleep(_STEP_SECONDS)
        finally:
            self._let_sqlite_wait(limit)

    def _begun(self, *, last: bool) -> bool:
        """Begin a transaction, and tell whether that could be done; where it is the last try, raise what kept it."""
        try:
            self.cursor().execute(f"BEGIN {self.settings_dict['OPTIONS'].get('transaction_mode', 'DEFERRED')}")
        except OperationalError as problem:
            code = getattr(problem.__cause__, "sqlite_errorcode", 0)
            # The low byte: the others say more about it.
            if last or code & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return False
        return True

    def _let_sqlite_wait(self, seconds: float) -> None:
        self.connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
