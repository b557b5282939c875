"""A glance at a batch as an API server posts it: enough of each event to tell whether it can matter, and to index it.

Most of what clusters do is reading and renewing leases. Of such an event nobody needs more than this.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec
from msgspec import Raw, Struct, field

from alerts.audit import decode as decoding
from alerts.audit.decode import Decoded, decode
from alerts.audit.envelope import Item
from alerts.audit.event import LOG_HEADER, UNBODIED, Code, ObjectReference, Time
from alerts.audit.position import address

_EVENT_LIST = b'{"kind":"EventList"'
# What API servers write before the level, which comes first of what an event says of itself.
_HEADS = tuple(head + b'"level":' for head in (b"{", LOG_HEADER))
# And after the last event.
_TAILS = (b"]}\n", b"]}")


class _Person(Struct, frozen=True, gc=False):
    username: str = ""


class _Addresses(Struct, frozen=True, gc=False, array_like=True):
    first: str = ""


class _ResponseStatus(Struct, frozen=True, gc=False):
    code: Code | None = None


class _Annotations(Struct, frozen=True, gc=False):
    reason: str = field(name="authorization.k8s.io/reason", default="")


class Glance(Struct, frozen=True, gc=False, kw_only=True, rename="camel"):
    """What a first look at an event takes in: the fields of `Event` by their names, and of their insides the least.

    They stand in the order in which API servers write them, which is how they are found soonest.
    """

    # The part of the body that tells where in it the event stands.
    level: Raw = UNBODIED
    audit_id: str = field(name="auditID")
    verb: str
    user: _Person
    impersonated_user: _Person | None = None
    source_ips: _Addresses | None = field(name="sourceIPs", default=None)
    user_agent: str | None = None
    # All of it: what is damaged in there may hide what was written.
    object_ref: ObjectReference | None = None
    response_status: _ResponseStatus | None = None
    # No API server leaves it out, so nobody needs another time.
    request_received_timestamp: Time
    annotations: _Annotations | None = None

    @property
    def at(self) -> datetime:
        """When the request reached the API server, as `Event` has it."""
        return self.request_received_timestamp

    @property
    def reason(self) -> str:
        """The authorizer's reason, as `Event` has it."""
        return self.annotations.reason if self.annotations else ""


class _Glances(Struct, gc=False):
    items: list[Glance]


_glances = msgspec.json.Decoder(_Glances)


@dataclass(frozen=True, slots=True)
class Skimmed:
    """Everything a body held: the events that may matter, complete or damaged, and a glance at each of the others."""

    decoded: Decoded
    routine: tuple[Glance, ...] = ()


def skim(body: bytes, matters: Callable[[Glance], bool]) -> Skimmed:
    """Decode the events of a body that matter by that judgement, and glance at the others.

    Only the list of an API server is skimmed, and only where all of it is sound as far as a glance goes, and what
    matters through and through: of anything else every event is decoded.
    """
    try:
        skimmed = _skimmed(body, matters)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        skimmed = None
    return skimmed or Skimmed(decode(body))


def _skimmed(body: bytes, matters: Callable[[Glance], bool]) -> Skimmed | None:
    """Return what a sound list holds; None for anything else, and where an event that matters is damaged.

    Raises what msgspec raises where the list is not sound.
    """
    if not body.startswith(_EVENT_LIST):
        return None
    glances = _glances.decode(body).items
    telling = [place for place, glance in enumerate(glances) if matters(glance)]
    if not telling:
        return Skimmed(Decoded((), ()), tuple(glances))
    parts = _cut_out(body, glances, telling)
    if parts is None:
        return None
    read = [decoding.read(Item(part)) for part in parts]
    if any(problem for _, problem in read):
        return None
    for place in reversed(telling):
        del glances[place]
    return Skimmed(Decoded(tuple(event for event, _ in read if event), ()), tuple(glances))


def _cut_out(body: bytes, glances: list[Glance], places: list[int]) -> list[bytes] | None:
    """Return the bytes of some of a list's events, None where they are not as API servers write them.

    An event begins where its level says. Where it ends is known from where the next begins, or the list's end; whoever
    reads it sees whether that is so, since of what begins with a brace only one length is JSON.
    """
    origin = address(body)
    parts = []
    for place in places:
        start = _beginning(body, glances[place].level, origin)
        if place + 1 < len(glances):
            following = _beginning(body, glances[place + 1].level, origin)
            stop = following and body.rindex(b",", 0, following)
        else:
            stop = next((len(body) - len(tail) for tail in _TAILS if body.endswith(tail)), None)
        if not start or not stop:
            return None
        parts.append(body[start:stop].rstrip())
    return parts


def _beginning(body: bytes, level: Raw, origin: int) -> int | None:
    """Return where the event begins that says so of its level, None where it does not begin with that.

    Exactly, whatever else is in the body: msgspec leaves what it does not decode where it was.
    """
    place = address(level) - origin
    if not 0 < place <= len(body):
        return None
    for head in _HEADS:
        if body.endswith(head, 0, place):
            return place - len(head)
    return None
