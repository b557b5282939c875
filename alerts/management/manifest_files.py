"""What the commands on manifests share: reading a file or standard input, and tables of untrusted names."""

import sys
from pathlib import Path
from typing import IO, cast

from django.core.management.base import CommandError, OutputWrapper
from rich.console import Console
from rich.table import Table
from rich.text import Text

from alerts.audit.visible import visible
from alerts.rbac.manifests import Contents, ManifestError, read

BAD_INPUT = 2
NEW_ACCESS = 1
STANDARD_INPUT = "-"
SEVERITY_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "green"}


def load(path: str) -> Contents:
    """Read the roles and bindings of a file, or of standard input for `-`.

    Raises CommandError with exit code 2, naming the file and line.
    """
    source = "standard input" if path == STANDARD_INPUT else path
    try:
        text = sys.stdin.read() if path == STANDARD_INPUT else Path(path).read_text(encoding="utf-8")
        return read(text, source)
    except ManifestError as wrong:
        raise CommandError(visible(str(wrong)), returncode=BAD_INPUT) from wrong
    except (OSError, UnicodeDecodeError) as wrong:
        reason = "not UTF-8" if isinstance(wrong, UnicodeDecodeError) else wrong.strerror or "cannot be read"
        raise CommandError(visible(f"{source}: {reason}"), returncode=BAD_INPUT) from wrong


def console(stream: OutputWrapper) -> Console:
    """Return a console that writes to a command's output and takes nothing it is given for markup."""
    return Console(file=cast("IO[str]", stream), markup=False, highlight=False, emoji=False, soft_wrap=False)


def table(*headings: str) -> Table:
    """Return an empty table without frames."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    return made


def text(words: object, style: str = "") -> Text:
    """Return words as they may stand in a table: what is invisible becomes visible, and nothing is markup."""
    return Text(visible(str(words)), style=style)
