"""A log of audit events, plain or compressed, cut into bodies of a bounded size: the same log gives the same bodies."""

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from alerts.audit import envelope

# Some five hundred events, like a batch of an API server's.
BODY_SIZE = 1024 * 1024
_INFLATED_AT_ONCE = 1024 * 1024


class Log:
    """The lines of a log, from its bytes as they come. `broken` tells, after the last one, that its gzip is damaged."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.broken = False

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines, without what ends them."""
        parts: list[bytes] = []
        for content in self._content():
            head, *lines = content.split(b"\n")
            parts.append(head)
            for line in lines:
                yield b"".join(parts)
                parts = [line]
        yield b"".join(parts)

    def _content(self) -> Iterator[bytes]:
        first = next(self._chunks, b"")
        chunks = chain([first], self._chunks)
        return self._inflated(chunks) if first.startswith(envelope.GZIP) else chunks

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
        self.broken = begun


def bodies(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield bodies with everything that is in a log. Only an event that is larger makes a larger body."""
    rest = iter(lines)
    first = list(islice(rest, envelope.FIRST_LINES))
    if envelope.is_log(first):
        yield from _grouped(_shortened(chain(first, rest)), b"\n", b"", b"")
        return
    whole: list[bytes] = []
    damaged: list[bytes] = []
    for item in envelope.items(b"\n".join(chain(first, rest))):
        (damaged if item.problem else whole).append(item.raw)
    yield from _grouped(whole, b",", b"[", b"]")
    # Each by itself: in one body it would spoil the others.
    yield from damaged


def _shortened(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines that are not empty, and instead of one that is a long list of events its items."""
    for line in map(bytes.strip, lines):
        if len(line) > BODY_SIZE:
            yield from (item.raw for item in envelope.items(line))
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
