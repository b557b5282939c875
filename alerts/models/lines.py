"""Asking for texts by the lines in them: on PostgreSQL by an index, on SQLite in one pass over each text."""

import re
from collections.abc import Iterable
from typing import Any, override

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BooleanField, Func
from django.db.models.sql.compiler import SQLCompiler


class HasAnyLine(Func):
    """Whether any of some lines is in a text of which each line is ended by a line feed, and the first begun by one."""

    output_field = BooleanField()

    def __init__(self, text: str, lines: Iterable[str]) -> None:
        """Ask for the field of that name."""
        super().__init__(text)
        self.lines = list(lines)

    @override
    def as_sql(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, *_: Any, **_more: Any
    ) -> tuple[str, tuple[Any, ...]]:
        """Return a regular expression: it takes as long for a hundred lines as for one."""
        text, params = compiler.compile(self.get_source_expressions()[0])
        return f"{text} REGEXP %s", (*params, f"\n(?:{'|'.join(map(re.escape, self.lines))})\n")

    def as_postgresql(self, compiler: SQLCompiler, _: BaseDatabaseWrapper) -> tuple[str, tuple[Any, ...]]:
        """Return what the index of batches answers, which has it word by word (0007_batch_lines)."""
        text, params = compiler.compile(self.get_source_expressions()[0])
        return f"string_to_array({text}, E'\\n') && %s::text[]", (*params, self.lines)
