"""JSON taken apart without recursion, so that nothing an attacker puts into one item loses the items around it.

Kubernetes' own decoder (Go's encoding/json and sigs.k8s.io/json) accepts what Python's fast ones refuse: 10,000 levels
of nesting, invalid UTF-8, half surrogate pairs. Accepted patches therefore reach the audit stream in that form.
"""

import json
import re
import sys
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

import msgspec

# Deeper than any object of Kubernetes (schemas of custom resources come to about 60), and safe for what we do later.
DEEPEST = 200

# Everything up to the next brackets outside a string, or up to a quote that no other quote ends. What holds no other
# brackets is passed over with its own, and brackets side by side are taken together: there may be millions of each.
_PLAIN = rb'(?:[^"\[\]{}]++|"[^"\\]*+(?:\\.[^"\\]*+)*+")'
_BRACKETS = re.compile(rb"(?:%b|\[%b*+\]|\{%b*+\})*+([\[{]++|[\]}]++|\"?)" % (_PLAIN, _PLAIN, _PLAIN), re.DOTALL)
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_STRING_SO_FAR = re.compile(rb'"(?:[^"\\]|\\(?:u[0-9a-fA-F]{4}|[^u]))*+', re.DOTALL)
_SCALAR = re.compile(rb"[^\s,\]}]++")
_SPACE = re.compile(rb"[ \t\r\n]*+")
_SPACE_AND_COMMAS = re.compile(rb"[ \t\r\n,]*+")
_CLOSED = re.compile(rb"[ \t\r\n,\]}]*+")
_COLON = re.compile(rb"[ \t\r\n]*+:[ \t\r\n]*+")
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
# How an audit event begins: in a list of items, and in a log.
_EVENT = re.compile(rb',\s*(?=\{\s*"(?:kind"\s*:\s*"Event"|level"\s*:\s*"(?:None|Metadata|Request|RequestResponse)"))')
_CLOSING = bytes.maketrans(b"{[", b"}]")
# One level up or down, as a signed byte
_STEPS = bytes.maketrans(b"{[]}", b"\x01\x01\xff\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

# What is kept of a list that is cut between two of its elements
_TAIL = 80
# As many cut elements, and lists one after the other, as are looked through to their end
GUESSES = 4
CUT = "It is cut short, or its brackets do not match."


class Unreadable(ValueError):
    """A JSON value that cannot be turned into Python objects; the text says why."""


def end(text: bytes, start: int, limit: int = sys.maxsize) -> int | None:
    """Return where the JSON value that starts at `start` ends, or None where it is cut or its brackets do not match.

    What is at `limit` and beyond does not count.
    """
    first = text[start : start + 1]
    if first == b'"':
        string = _STRING.match(text, start, limit)
        return string.end() if string else None
    if first not in {b"{", b"["}:
        scalar = _SCALAR.match(text, start, limit)
        return scalar.end() if scalar else start + 1
    awaited, at = bytearray(first.translate(_CLOSING)), start + 1
    while (found := _BRACKETS.match(text, at, limit)) and (run := found[1]) not in {b"", b'"'}:
        at = found.end()
        if run[0] in b"[{":
            awaited += run.translate(_CLOSING)
            continue
        closing = run[: len(awaited)]
        if not awaited.endswith(closing[::-1]):
            return None
        del awaited[-len(closing) :]
        if not awaited:
            return at - len(run) + len(closing)
    return None


def elements(text: bytes, start: int, guesses: int = GUESSES) -> Iterator[tuple[int, int, str]]:
    """Split the array that opens at `start`: where each element begins and ends, and what is wrong with it or "".

    Where brackets do not match, the next thing that begins like an audit event counts as the next element. This is the
    one guess here: inside well-formed JSON that text could as well be part of an object. After so many guesses nothing
    else ends an element, for each could have all that follows it looked through in vain.
    """
    at, problem, following = start + 1, "", 0
    while True:
        at = _past(_SPACE_AND_COMMAS, text, at)
        if at >= len(text) and not problem:
            # Cut between two elements: there were more, or there is at least no telling.
            yield max(start, len(text) - _TAIL), len(text), CUT
        if text[at : at + 1] in {b"", b"]"}:
            return
        if guesses <= 0 and following <= at:
            following = _next_event(text, at)
        stop, problem = end(text, at, len(text) if guesses > 0 else following), ""
        if stop is None or text[(after := _past(_SPACE, text, stop)) : after + 1] not in {b"", b",", b"]"}:
            stop, problem, guesses = _next_event(text, at) if guesses > 0 else following, CUT, guesses - 1
        yield at, stop, problem
        at = stop


def _next_event(text: bytes, at: int) -> int:
    """Return where something begins after `at` that looks like the next audit event of a list, or the end."""
    found = _EVENT.search(text, at + 1)
    return found.start() if found else len(text)


def members(text: bytes, start: int = 0) -> Iterator[tuple[str, int, int | None]]:
    """Yield the members of the object that opens at `start`, as far as they go: key, start and end of the value.

    The end is None for a value that is cut; it is the last.
    """
    at = start + 1
    while True:
        at = _past(_SPACE_AND_COMMAS, text, at)
        key = _STRING.match(text, at)
        colon = key and _COLON.match(text, key.end())
        if key is None or colon is None or colon.end() >= len(text):
            return
        stop = end(text, colon.end())
        yield key[0][1:-1].decode("utf-8", "replace"), colon.end(), stop
        if stop is None:
            return
        at = stop


def readable(text: bytes, *, levels: int = 1) -> dict[str, Any]:
    """Return the members of an object that can be read, and in their place those of objects so many levels deeper."""
    found: dict[str, Any] = {}
    for key, start, stop in members(text) if text.startswith(b"{") else ():
        value = text[start:stop]
        try:
            found[key] = parse(value)
        except Unreadable:
            if levels and value.startswith(b"{"):
                found[key] = readable(value, levels=levels - 1)
    return found


def string(text: bytes) -> str | None:
    """Return the JSON string, one that is cut as far as it goes; None where it is no string."""
    if not text.startswith(b'"'):
        return None
    if end(text, 0) is None:
        text = text[: _past(_STRING_SO_FAR, text, 0)] + b'"'
    try:
        return msgspec.json.decode(mend(text), type=str)
    except msgspec.DecodeError:
        return None


def past_space(text: bytes, at: int) -> int:
    """Return where the white space ends that is at `at`."""
    return _past(_SPACE, text, at)


def past_closing(text: bytes, at: int) -> int:
    """Return where the closing brackets end that are at `at`, with white space and commas between them."""
    return _past(_CLOSED, text, at)


def _past(pattern: re.Pattern[bytes], text: bytes, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at


def depth(text: bytes) -> int:
    """Return how deep the brackets are nested, at most DEEPEST + 1; 0 where there are too few of them to matter."""
    if text.count(b"{") + text.count(b"[") <= DEEPEST:
        return 0
    steps = _STRING.sub(b"", text).translate(_STEPS, _NO_BRACKETS)
    return min(max(accumulate(memoryview(steps).cast("b")), default=0), DEEPEST + 1)


def has_half_surrogates(text: bytes) -> bool:
    r"""Tell whether an escape such as \ud800 stands alone, which is no character."""
    return any(match[1] for match in _ESCAPE.finditer(text))


def mend(text: bytes) -> bytes:
    """Return the JSON with U+FFFD for invalid UTF-8 and half surrogate pairs, which is how Kubernetes reads them."""
    if not text.isascii():
        text = text.decode("utf-8", "replace").encode()
    return _ESCAPE.sub(lambda match: rb"\ufffd" if match[1] else match[0], text) if rb"\u" in text else text


def parse(text: bytes) -> Any:
    """Return the JSON value as Kubernetes would read it; numbers that no database holds come as their text.

    Raises Unreadable.
    """
    if depth(text) > DEEPEST:
        raise Unreadable(f"It is nested more than {DEEPEST} levels deep.")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _loads(mend(text))


def _loads(text: bytes) -> Any:
    try:
        return json.loads(text, parse_int=_integer, parse_float=_real, parse_constant=str)
    except ValueError as error:
        raise Unreadable(f"It is not JSON: {error}.") from None


def _integer(digits: str) -> int | str:
    return int(digits) if len(digits) < 20 else digits


def _real(digits: str) -> float | str:
    value = float(digits)
    return value if abs(value) < float("inf") else digits
