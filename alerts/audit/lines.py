"""The lines of a log, each a document by itself or what was cut of one, told from a document over several lines."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, groupby, pairwise

from alerts.audit import salvage

# What `oc adm node-logs`, an export of CloudWatch and container runtimes put before a line: a host, a time, a stream.
_LEAD = re.compile(rb"(?:[\w.:+-]++[ \t]++){1,4}(?=\{)")
# How a line begins that is a document by itself; one over several lines has a line for its first brace.
_DOCUMENT = re.compile(rb'\[?[ \t]*+\{[ \t]*+"')
# How API servers begin an event: there is no other way to write it, so wherever such a line ends, it is one of a log.
_EVENT = re.compile(rb'\{"(?:kind":"Event","apiVersion"|level":"\w++","auditID")')
# A document over several lines goes on after one that ends like this, and before one that begins like that.
_GOES_ON = (b",", b"[", b"{", b":")
_WENT_ON = (b",", b"]", b"}")


def without_lead(line: bytes) -> bytes:
    """Return the line without what was put before its document."""
    lead = None if line.startswith(b"{") else _LEAD.match(line)
    return line[lead.end() :] if lead else line


def is_log(lines: Iterable[bytes]) -> bool:
    """Tell whether a line is a document by itself, or failing that was one before it was cut, wherever it stands.

    No more lines are asked for than it takes to tell, and each is looked at once.
    """
    cut = listed = False
    for line, following in pairwise(chain(_documents(lines), [b""])):
        if not _DOCUMENT.match(line) or following.startswith(_WENT_ON):
            continue
        stop = salvage.end(line, 0)
        if stop == len(line):
            return True
        if stop is None:
            cut = cut or bool(_EVENT.match(line)) or not line.endswith(_GOES_ON)
        else:
            listed = listed or line[stop:].strip() == b","
    # What a comma follows is an item of a list, and so was what is cut.
    return cut and not listed


def split(body: bytes) -> Iterator[bytes]:
    """Yield the documents of a log, cut or not, and what stands between them as it is."""
    for of_documents, run in groupby(_documents(body.split(b"\n")), lambda line: bool(_DOCUMENT.match(line))):
        if of_documents:
            yield from run
        else:
            yield b"\n".join(run)


def _documents(lines: Iterable[bytes]) -> Iterator[bytes]:
    return (without_lead(line) for line in map(bytes.strip, lines) if line)
