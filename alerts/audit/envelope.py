"""What audit events come in, told apart by content, layer by layer.

A body is a webhook's list, an array, one event, a log's lines, or gzip of any. Each document in it is an audit event or
what `wrapping` knows: then it holds a body again.
"""

import binascii
import re
import zlib
from collections.abc import Generator, Iterable, Iterator
from datetime import datetime

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from alerts.audit import lines, salvage, wrapping

# What everything compressed in one body may come to together: the largest body of an API server, four times.
INFLATED_LIMIT = 256 * 1024 * 1024
# A record of Firehose's is base64 of gzip of a list of messages, each an event: twice as many layers as any needs.
DEEPEST = 10
# Compressed bytes that are looked at together
_PIECE = 1024
GZIP = b"\x1f\x8b"
# How the base64 of gzip begins, whatever it holds
_ENCODED_GZIP = b"H4sI"
_ENCODED = re.compile(rb"H4sI[A-Za-z0-9+/]*+=*+")
# What follows the padding is another text.
_ENCODED_LINES = re.compile(rb"\s*+H4sI[A-Za-z0-9+/\s]*+(=*+)\s*+")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NOT_JSON = "It is not JSON."
INFLATES_TOO_FAR = f"It inflates to more than {INFLATED_LIMIT // 1024 // 1024} MiB; the rest was not read."
BROKEN_COMPRESSION = "Its compression is damaged; what follows here could not be read."
WRAPPED_TOO_OFTEN = f"It is wrapped more than {DEEPEST} times."
# As API servers write events, to a webhook and to a log: no need to look for a wrapping.
_EVENT = (b'{"level":', b'{"kind":"Event",')


class Item(Struct, frozen=True, gc=False):
    """What should be one audit event, as it stands, and what is known to be wrong with it.

    `at` is when it was logged, as far as what it came in says so.
    """

    raw: bytes
    problem: str = ""
    at: datetime | None = None


class _EventList(Struct, gc=False):
    items: list[Raw] | UnsetType | None = UNSET


_list = msgspec.json.Decoder(_EventList)
_array = msgspec.json.Decoder(list[Raw])


def items(body: bytes) -> Iterator[Item]:
    """Yield everything in a body that should be an audit event. Whatever the body holds, nothing of it is left out.

    Records of other logs, which clouds deliver in the same envelopes, are no items.
    """
    return _Opening().body(body, None, DEEPEST)


class _Opening:
    """The opening of one body and all that is in it, with what may still be inflated."""

    def __init__(self) -> None:
        self.room = INFLATED_LIMIT

    def body(self, body: bytes, at: datetime | None, levels: int) -> Iterator[Item]:
        """Yield the items of a body, which may be wrapped so many times more."""
        for each in _decoded(body) if body.startswith(_ENCODED_GZIP) else [body]:
            yield from self._inflatable(each, at, levels)

    def _inflatable(self, body: bytes, at: datetime | None, levels: int) -> Iterator[Item]:
        unread = None
        if body.startswith(GZIP):
            body, unread = self._inflated(body)
        body = body.removeprefix(_BYTE_ORDER_MARK).strip()
        if body.startswith((GZIP, _ENCODED_GZIP)):
            yield from self.body(body, at, levels - 1) if levels else [Item(body, WRAPPED_TOO_OFTEN, at)]
        elif body:
            for item in _split(body):
                if at is None and item.raw.startswith(_EVENT):
                    yield item
                else:
                    yield from self._item(item, at, levels)
        if unread:
            yield unread

    def _item(self, item: Item, at: datetime | None, levels: int) -> Iterable[Item]:
        found = None if item.raw.startswith(_EVENT) else wrapping.contents(item.raw)
        if found is None:
            return [Item(item.raw, item.problem, at)]
        if not levels:
            return [Item(item.raw, WRAPPED_TOO_OFTEN, at)]
        return (inner for each in found for inner in self._content(each, at, levels - 1))

    def _content(self, content: wrapping.Content, at: datetime | None, levels: int) -> Iterable[Item]:
        at = content.at or at
        if content.problem:
            return [Item(content.body, content.problem, at)]
        return self.body(content.body, at, levels)

    def _inflated(self, body: bytes) -> tuple[bytes, Item | None]:
        """Return what gzip holds (RFC 1952, of several members too) as far as it can be read, and what could not."""
        parts: list[bytes] = []
        at = 0
        while body.startswith(GZIP, at):
            if self.room <= 0:
                return b"".join(parts), Item(body[at:], INFLATES_TOO_FAR)
            inflater, begun = zlib.decompressobj(wbits=31), at
            try:
                while not inflater.eof and at < len(body) and self.room > 0:
                    # By the piece, for the rest is copied at the end of each member, and there may be a million.
                    parts.append(inflater.decompress(piece := body[at : at + _PIECE], self.room))
                    self.room -= len(parts[-1])
                    at += len(piece) - len(inflater.unused_data) - len(inflater.unconsumed_tail)
            except zlib.error:
                return b"".join(parts), Item(body[begun:], BROKEN_COMPRESSION)
            if self.room <= 0:
                return b"".join(parts), Item(body[at:], INFLATES_TOO_FAR)
            if not inflater.eof:
                return b"".join(parts), Item(body[begun:], BROKEN_COMPRESSION)
        return b"".join(parts), Item(body[at:], BROKEN_COMPRESSION) if body[at:].strip(b"\0") else None


def _decoded(body: bytes) -> Iterator[bytes]:
    """Yield what is in each text of base64, of one line or more, and what comes after the last of them as it stands."""
    texts = body.split()
    if all(map(_ENCODED.fullmatch, texts)):
        yield from map(_bytes_of, texts)
        return
    at = 0
    while (text := _ENCODED_LINES.match(body, at)) and (text[1] or text.end() == len(body)):
        yield _bytes_of(text[0])
        at = text.end()
    if at < len(body):
        yield body[at:]


def _bytes_of(text: bytes) -> bytes:
    """Decode base64, of what is cut as much as there is."""
    digits = b"".join(text.split()).rstrip(b"=")
    # One digit alone is no byte.
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


def _split(body: bytes) -> Iterable[Item]:
    body = lines.without_lead(body)
    for split in (_whole, _lines):
        found = split(body)
        if found is not None:
            return found
    return _document(body)


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
    if b"\n" not in body or not lines.is_log(body.split(b"\n")):
        return None
    return [item for part in lines.split(body) for item in _one(part)]


def _one(document: bytes) -> Iterable[Item]:
    found = _whole(document)
    return _document(document) if found is None else found


def _document(body: bytes) -> Iterator[Item]:
    """Split documents with no lines between them, each sound or not."""
    at = cut = 0
    while at < len(body):
        if not body.startswith((b"{", b"["), at):
            yield Item(body[at:], NOT_JSON)
            return
        if cut > salvage.GUESSES:
            # Each could have all that follows looked through in vain.
            yield Item(body[at:], salvage.CUT)
            return
        stop = salvage.end(body, at)
        if stop is None:
            stop = yield from _cut(body, at, guesses=0 if cut else salvage.GUESSES)
            cut += 1
        else:
            document = body[at:stop]
            found = _whole(document)
            yield from _unsound(document) if found is None else found
        at = salvage.past_space(body, stop)


def _unsound(document: bytes) -> Iterator[Item]:
    """Split a document whose brackets match, where it is a list."""
    start = _list_in(document, 0)
    if start is None:
        yield Item(document)
        return
    for begin, stop, problem in salvage.elements(document, start):
        yield Item(document[begin:stop], problem)


def _cut(body: bytes, at: int, *, guesses: int) -> Generator[Item, None, int]:
    """Split what is cut and begins here, where it is a list, and return how far it goes.

    It has no end to be seen: what follows the list may be another document, and is not lost.
    """
    start = _list_in(body, at)
    if start is None:
        yield Item(body[at:], salvage.CUT)
        return len(body)
    stop = start + 1
    for begin, stop, problem in salvage.elements(body, start, guesses):
        yield Item(body[begin:stop], problem)
    return salvage.past_closing(body, stop)


def _list_in(body: bytes, at: int) -> int | None:
    """Return where the list of events begins in the document that begins here, None where it is none."""
    if body.startswith(b"[", at):
        return at
    starts = (start for key, start, _ in salvage.members(body, at) if key == "items")
    return next((start for start in starts if body.startswith(b"[", start)), None)
