"""What tests with a database may use besides."""

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection, connections

type Parallel = Callable[[Callable[[], None], int], None]


@pytest.fixture
def parallel(transactional_db: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parallel:
    """Run the same in several threads at once, each with a connection of its own.

    The database in memory that tests have on SQLite knows no waiting for locks. So there the threads work on a file, as
    processes do, and what they wrote is copied back.
    """

    def run(work: Callable[[], None], threads: int) -> None:
        file = tmp_path / "parallel.sqlite3"
        if connection.vendor == "sqlite":
            _copy(connection.connection, str(file))
            _settle(file)
            monkeypatch.setitem(connections.settings["default"], "NAME", str(file))
        start, problems = Barrier(threads), []

        def one() -> None:
            try:
                start.wait()
                work()
            except Exception as problem:  # noqa: BLE001  (raised again below, in the test's own thread)
                problems.append(problem)
            finally:
                connections.close_all()

        running = [Thread(target=one) for _ in range(threads)]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        if connection.vendor == "sqlite":
            _copy(str(file), connection.connection)
        if problems:
            raise problems[0]

    return run


def _settle(file: Path) -> None:
    """Have the file as an installation has it before its processes begin: only one can change how it is written."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA journal_mode=WAL")


def _copy(source: sqlite3.Connection | str, target: sqlite3.Connection | str) -> None:
    ends = [sqlite3.connect(end) if isinstance(end, str) else end for end in (source, target)]
    ends[0].backup(ends[1])
    for end, given in zip(ends, (source, target), strict=True):
        if isinstance(given, str):
            end.close()


class Live:
    """A cluster's API that lists what it is told; what it lists comes from memory, everything after that is real."""

    manifests: Sequence[dict[str, Any]] = ()

    def __enter__(self) -> "Live":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def list_all(self, kind: str) -> list[dict[str, Any]]:
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Live:
    """What the cluster's API lists."""
    live = Live()
    monkeypatch.setattr("alerts.services.connection.connect", lambda _: live)
    return live
