"""How transactions wait for each other on SQLite."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler

BEGIN = "BEGIN IMMEDIATE"


@pytest.fixture
def another(db: None, tmp_path: Path) -> Iterator[tuple[BaseDatabaseWrapper, sqlite3.Connection]]:
    """Return a connection of ours to a database, and another program's that is writing to it."""
    options = {"transaction_mode": "IMMEDIATE", "timeout": 0.05}
    file = str(tmp_path / "wait.sqlite3")
    ours = ConnectionHandler({"default": {"ENGINE": "triage.sqlite", "NAME": file, "OPTIONS": options}})["default"]
    ours.cursor().execute("CREATE TABLE seen (number INTEGER)")
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute(BEGIN)
        other.execute("INSERT INTO seen VALUES (1)")
        yield ours, other
    ours.close()


def begin(connection: BaseDatabaseWrapper) -> None:
    connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)


def test_a_transaction_begins_when_the_other_one_is_over(
    another: tuple[BaseDatabaseWrapper, sqlite3.Connection],
) -> None:
    ours, other = another
    ours.settings_dict["OPTIONS"]["timeout"] = 60
    refused = Event()

    def end() -> None:
        refused.wait()
        other.execute("COMMIT")

    def asking(execute: Callable[..., Any], *call: Any) -> Any:
        try:
            return execute(*call)
        except OperationalError:
            refused.set()
            raise

    ending = Thread(target=end)
    ending.start()
    with ours.execute_wrapper(asking):
        begin(ours)
    assert refused.is_set()
    assert ours.cursor().execute("SELECT number FROM seen").fetchall() == [(1,)]
    ours.cursor().execute("INSERT INTO seen VALUES (2)")
    ours.commit()
    ending.join()
    assert other.execute("SELECT count(*) FROM seen").fetchone() == (2,)


def test_one_that_waited_long_enough_says_so_and_the_next_is_well(
    another: tuple[BaseDatabaseWrapper, sqlite3.Connection],
) -> None:
    ours, other = another
    with pytest.raises(OperationalError, match="database is locked"):
        begin(ours)
    other.execute("COMMIT")
    begin(ours)
    ours.rollback()
    assert ours.cursor().execute("PRAGMA busy_timeout").fetchone() == (50,)


def test_what_is_wrong_otherwise_is_not_waited_for(another: tuple[BaseDatabaseWrapper, sqlite3.Connection]) -> None:
    ours, other = another
    other.execute("COMMIT")
    ours.settings_dict["OPTIONS"]["timeout"] = 60
    begin(ours)
    with pytest.raises(OperationalError, match="within a transaction"):
        begin(ours)
    ours.rollback()


def test_the_installation_uses_it(db: None) -> None:
    connection = connections["default"]
    if connection.vendor == "sqlite":
        assert type(connection).__module__ == "triage.sqlite.base"
        with transaction.atomic():
            assert connection.in_atomic_block
