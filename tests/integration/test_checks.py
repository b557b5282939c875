import sqlite3
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection

from alerts import checks


@pytest.mark.parametrize("version", [(3, 51, 3), (3, 52, 0), (3, 50, 7), (3, 44, 6), (3, 44, 9)])
def test_a_mended_sqlite_is_no_matter(version: tuple[int, ...]) -> None:
    assert checks.is_mended(version)


@pytest.mark.parametrize("version", [(3, 40, 1), (3, 44, 5), (3, 45, 3), (3, 50, 6), (3, 51, 2)])
def test_one_with_the_fault_is_told_from_it(version: tuple[int, ...]) -> None:
    assert not checks.is_mended(version)


def test_whoever_migrates_such_an_sqlite_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    monkeypatch.setattr(connection, "vendor", "sqlite")
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 40, 1))
    said = StringIO()
    call_command("check", databases=["default"], stderr=said)
    assert "PostgreSQL (DATABASE_URL)" in said.getvalue()

    silent = StringIO()
    call_command("check", stderr=silent)
    assert silent.getvalue() == ""


def test_postgresql_is_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 40, 1))
    monkeypatch.setattr(connection, "vendor", "postgresql")
    assert checks.sqlite_version() == []
