"""A log of audit events, plain or compressed, cut into bodies of a bounded size: the same log gives the same bodies."""

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from alerts.audit import envelope
from alerts.audit.lines import is_log

# Some five hundred events, like a batch of an API server's.
BODY_SIZE = 1024 * 1024
_INFLATED_AT_ONCE = 1024 * 1024
TOO_LARGE = (
    f"It holds a line or a document of more than {envelope.INFLATED_LIMIT // 1024 // 1024} MiB. "
    "Split it, or write one event a line."
)


class TooLarge(Exception):
    """A log that would have to be held in memory, and is larger than that allows; compressed it may have been small."""


class Log:
    """The lines of a log, from its bytes as they come. `broken` tells, after the last one, that its gzip is damaged."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.broken = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines, without what ends them.

        Raises TooLarge.
        """
        parts: list[bytes] = []
        for content in self._content():
            head, *lines = content.split(b"\n")
            parts.append(head)
            for line in lines:
                yield b"".join(parts)
                parts = [line]
            # Chunks are about as long as each other: counting them is enough.
            if len(parts) * len(content) > envelope.INFLATED_LIMIT:
                raise TooLarge(TOO_LARGE)
        yield b"".join(parts)

    def _content(self) -> Iterator[bytes]:
        chunks = self._chunks
        for _ in range(envelope.DEEPEST):
            first = next(filter(None, chunks), b"")
            chunks = chain([first], chunks)
            if not first.startswith(envelope.GZIP):
                break
            chunks = self._inflated(chunks)
        return chunks

    def _inflated(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield what gzip holds (RFC 1952, of several members too), as far as it can be read."""
        inflater, begun = zlib.decompressobj(wbits=31), False
        for chunk in chunks:
            rest = chunk
            while rest:
                try:
                    yield inflater.decompress(rest, _INFLATED_AT_ONCE)
                except zlib.error:
                    self.broken = True
                    return
                begun, rest = not inflater.eof, inflater.unused_data or inflater.unconsumed_tail
                if inflater.eof:
                    # Zeros may pad the last member.
                    inflater, rest = zlib.decompressobj(wbits=31), rest.lstrip(b"\0")
        yield inflater.flush()
        self.broken |= begun


def bodies(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield bodies with everything that is in a log. Only an event that is larger makes a larger body.

    Raises TooLarge.
    """
    rest = iter(lines)
    first: list[bytes] = []
    if is_log(_limited(rest, first)):
        yield from _grouped(_shortened(chain(first, rest)), b"\n", b"", b"")
        return
    whole: list[bytes] = []
    damaged: list[bytes] = []
    for item in envelope.items(b"\n".join(first)):
        (damaged if item.problem else whole).append(item.raw)
    yield from _grouped(whole, b",", b"[", b"]")
    # Each by itself: in one body it would spoil the others.
    yield from damaged


def _limited(lines: Iterable[bytes], seen: list[bytes]) -> Iterator[bytes]:
    """Yield the lines, and have `seen` hold them, as far as they may be held in memory."""
    room = envelope.INFLATED_LIMIT
    for line in lines:
        room -= len(line) + 1
        if room < 0:
            raise TooLarge(TOO_LARGE)
        seen.append(line)
        yield line


def _shortened(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines that are not empty, and instead of one that is a long list of events its items."""
    for line in map(bytes.strip, lines):
        if len(line) > BODY_SIZE:
            # In sound JSON a line feed is white space.
            yield from (item.raw.replace(b"\n", b" ") for item in envelope.items(line))
        elif line:
            yield line


def _grouped(parts: Iterable[bytes], between: bytes, before: bytes, after: bytes) -> Iterator[bytes]:
    group: list[bytes] = []
    size = 0
    for part in parts:
        if group and size + len(part) > BODY_SIZE:
            yield before + between.join(group) + after
            group, size = [], 0
        group.append(part)
        size += len(part)
    if group:
        yield before + between.join(group) + after
