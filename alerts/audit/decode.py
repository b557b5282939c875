"""From a body to its audit events, item by item: what is damaged spoils nothing around it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Raw

from alerts.audit import envelope, salvage
from alerts.audit.event import UNBODIED, Event, Person

_event = msgspec.json.Decoder(Event)
_fields = {
    each.encode_name: (each.name, None if each.type is Raw else msgspec.json.Decoder(each.type))
    for each in msgspec.structs.fields(Event)
    if each.name not in {"raw", "salvaged"}
}
# One of these tells that something was an audit event.
_TELLING = frozenset({"audit_id", "verb", "request_uri", "object_ref"})
HALF_A_PAIR = "A string in it holds half a surrogate pair, which is no character."
NOT_UTF8 = "It is not valid UTF-8."
TOO_DEEP = f"It is nested more than {salvage.DEEPEST} levels deep."


@dataclass(frozen=True, slots=True)
class Damaged:
    """An item that is not a sound audit event: where it stood in its batch, why, its bytes, and what it gave up.

    `event` is None where nothing of an audit event could be recovered; otherwise it is among the decoded events too.
    """

    position: int
    reason: str
    raw: bytes
    event: Event | None

    @property
    def sha256(self) -> str:
        """The hash of its bytes."""
        return hashlib.sha256(self.raw).hexdigest()


@dataclass(frozen=True, slots=True)
class Decoded:
    """Everything a body held. Each item is an event, damaged, or both; none is lost."""

    events: tuple[Event, ...]
    damaged: tuple[Damaged, ...]

    @property
    def sound(self) -> int:
        """How many items are events without damage; with the damaged ones that is all there were."""
        return sum(not event.salvaged for event in self.events)


def decode(body: bytes) -> Decoded:
    """Return every audit event in a body, and every item that is damaged.

    What can be recovered of a damaged event is among `events` too, marked as salvaged, to be examined like any other.
    Each event holds on to its own bytes, and not to the body: of ten thousand kept for an investigation many are the
    only one of their batch.
    """
    events: list[Event] = []
    damaged: list[Damaged] = []
    for position, item in enumerate(envelope.items(body)):
        event, reason = read(item)
        if event is not None:
            events.append(event)
        if reason:
            damaged.append(Damaged(position, reason, item.raw, event))
    return Decoded(tuple(events), tuple(damaged))


def read(item: envelope.Item) -> tuple[Event | None, str]:
    """Return the event that an item is, as far as there is one, and what is wrong with it or ""."""
    event, problem = _read(item.raw, item.problem)
    if event is not None and event.at is None and item.at is not None:
        # Cut before its times: it was logged when it was over, or so.
        msgspec.structs.force_setattr(event, "stage_timestamp", item.at)
    return event, problem


def _read(raw: bytes, problem: str) -> tuple[Event | None, str]:
    if not problem:
        try:
            event = _event.decode(raw)
            problem = _poison(event, raw)
            if not problem:
                return _marked(event, raw, salvaged=False), ""
        except msgspec.ValidationError as error:
            problem = f"It is not an audit event: {error}."
        except RecursionError:
            # In which Python version it comes to that differs.
            problem = TOO_DEEP
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            problem = HALF_A_PAIR if salvage.has_half_surrogates(raw) else f"It is not JSON: {error}."
    return _recovered(raw), problem


def _poison(event: Event, raw: bytes) -> str:
    """Return what would go unnoticed in a body that is left as bytes, and hurt whoever parses it later."""
    for body in (event.request_object, event.response_object):
        if body is not UNBODIED and salvage.depth(bytes(body)) > salvage.DEEPEST:
            return TOO_DEEP
    if not raw.isascii():
        try:
            raw.decode()
        except UnicodeDecodeError:
            return NOT_UTF8
    return ""


def _marked(event: Event, raw: bytes, *, salvaged: bool) -> Event:
    msgspec.structs.force_setattr(event, "raw", raw)
    msgspec.structs.force_setattr(event, "salvaged", salvaged)
    return event


def _recovered(raw: bytes) -> Event | None:
    """Return the event with every field that can still be read, or None where too little tells that it was one."""
    found = dict(_readable(raw)) if raw.startswith(b"{") else {}
    if not _TELLING & found.keys():
        return None
    unknown: dict[str, Any] = {"audit_id": "", "verb": "", "user": Person()}
    return _marked(Event(**unknown | found), raw, salvaged=True)


def _readable(raw: bytes) -> Iterator[tuple[str, Any]]:
    for key, start, stop in salvage.members(raw):
        if key not in _fields or stop is None:
            continue
        name, decoder = _fields[key]
        value = raw[start:stop]
        if decoder is None:
            yield name, Raw(value)
        elif salvage.depth(value) <= salvage.DEEPEST:
            try:
                yield name, decoder.decode(salvage.mend(value))
            except (msgspec.DecodeError, RecursionError):
                continue
