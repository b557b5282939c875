"""What audit events come in, told apart by content: a webhook's list, an array, one event, a log's lines, or gzip."""

import zlib
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from alerts.audit import salvage

# What a compressed body may come to: ten times the largest an API server can send.
INFLATED_LIMIT = 640 * 1024 * 1024
GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# How many lines show whether something is a log: one cut line at its beginning must not decide.
FIRST_LINES = 5
NOT_JSON = "It is not JSON."
INFLATES_TOO_FAR = f"It inflates to more than {INFLATED_LIMIT // 1024 // 1024} MiB; the rest was not read."
BROKEN_COMPRESSION = "Its compression is damaged; what follows here could not be read."


class Item(Struct, frozen=True, gc=False):
    """What should be one audit event, as it stands, and what is known to be wrong with it."""

    raw: bytes
    problem: str = ""


class _EventList(Struct, gc=False):
    items: list[Raw] | UnsetType | None = UNSET


_list = msgspec.json.Decoder(_EventList)
_array = msgspec.json.Decoder(list[Raw])


def items(body: bytes) -> Iterator[Item]:
    """Yield everything in a body that should be an audit event. Whatever the body holds, nothing of it is left out."""
    body, unread = _inflated(body) if body.startswith(GZIP) else (body, None)
    body = body.removeprefix(_BYTE_ORDER_MARK).strip()
    if body:
        yield from _split(body)
    if unread:
        yield unread


def _split(body: bytes) -> Iterable[Item]:
    for split in (_whole, _lines):
        found = split(body)
        if found is not None:
            return found
    return _document(body)


def _inflated(body: bytes) -> tuple[bytes, Item | None]:
    """Return the content of gzip (RFC 1952, of several members too) as far as it can be read, and what could not."""
    parts, room = [], INFLATED_LIMIT
    while body.startswith(GZIP):
        inflater = zlib.decompressobj(wbits=31)
        try:
            parts.append(inflater.decompress(body, room))
        except zlib.error:
            return b"".join(parts), Item(body, BROKEN_COMPRESSION)
        room -= len(parts[-1])
        if room <= 0:
            return b"".join(parts), Item(inflater.unconsumed_tail, INFLATES_TOO_FAR)
        if not inflater.eof:
            return b"".join(parts), Item(body, BROKEN_COMPRESSION)
        body = inflater.unused_data
    return b"".join(parts), Item(body, BROKEN_COMPRESSION) if body.strip(b"\0") else None


def _whole(body: bytes) -> list[Item] | None:
    """Split a body that is one sound JSON document, or return None where it is none."""
    try:
        if body.startswith(b"["):
            return [Item(bytes(raw)) for raw in _array.decode(body)]
        found = _list.decode(body).items
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return [Item(body)] if found is UNSET else [Item(bytes(raw)) for raw in found or ()]


def _lines(body: bytes) -> list[Item] | None:
    """Split the lines of a log, or return None where the body is none. A damaged line leaves the others alone."""
    lines = [line for line in map(bytes.strip, body.split(b"\n")) if line]
    if len(lines) < 2 or not is_log(lines[:FIRST_LINES]):
        return None
    return [item for line in lines for item in _one(line)]


def _one(document: bytes) -> Iterable[Item]:
    found = _whole(document)
    return _document(document) if found is None else found


def is_log(lines: Iterable[bytes]) -> bool:
    """Tell whether one of the lines is a JSON object by itself, as those of a log are."""
    return any(line.startswith(b"{") and salvage.end(line, 0) == len(line) for line in map(bytes.strip, lines))


def _document(body: bytes) -> Iterator[Item]:
    """Split one document that is not sound JSON, or several without lines between them."""
    if body.startswith(b"["):
        yield from (Item(raw, problem) for raw, problem in salvage.elements(body, 0))
        return
    if not body.startswith(b"{"):
        yield Item(body, NOT_JSON)
        return
    for key, start, _ in salvage.members(body):
        if key == "items" and body.startswith(b"[", start):
            yield from (Item(raw, problem) for raw, problem in salvage.elements(body, start))
            return
    documents = [Item(raw, problem) for raw, problem in salvage.sequence(body)]
    if len(documents) == 1:
        yield documents[0]
        return
    for document in documents:
        yield from [document] if document.problem else _one(document.raw)
