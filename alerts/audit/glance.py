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
from alerts.audit.event import Code, ObjectReference, Time

_EVENT_LIST = b'{"kind":"EventList"'


class _Person(Struct, frozen=True, gc=False):
    username: str = ""


class _ResponseStatus(Struct, frozen=True, gc=False):
    code: Code | None = None


class _Annotations(Struct, frozen=True, gc=False):
    reason: str = field(name="authorization.k8s.io/reason", default="")


class Glance(Struct, frozen=True, gc=False, rename="camel"):
    """What a first look at an event takes in: the fields of `Event` by their names, and of their insides the least."""

    audit_id: str = field(name="auditID")
    verb: str
    user: _Person
    impersonated_user: _Person | None = None
    source_ips: tuple[str, ...] | None = field(name="sourceIPs", default=None)
    user_agent: str | None = None
    # All of it: what is damaged in there may hide what was written.
    object_ref: ObjectReference | None = None
    response_status: _ResponseStatus | None = None
    request_received_timestamp: Time | None = None
    stage_timestamp: Time | None = None
    annotations: _Annotations | None = None

    @property
    def at(self) -> datetime | None:
        """When the request reached the API server, as `Event` has it."""
        return self.request_received_timestamp or self.stage_timestamp

    @property
    def reason(self) -> str:
        """The authorizer's reason, as `Event` has it."""
        return self.annotations.reason if self.annotations else ""


class _Glances(Struct, gc=False):
    items: list[Glance]


class _Split(Struct, gc=False):
    items: list[Raw]


_glances = msgspec.json.Decoder(_Glances)
_split = msgspec.json.Decoder(_Split)


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
    if not body.isascii():
        body.decode()
    glances = _glances.decode(body).items
    telling = [place for place, glance in enumerate(glances) if matters(glance)]
    if not telling:
        return Skimmed(Decoded((), ()), tuple(glances))
    parts = _split.decode(body).items
    read = [decoding.read(Item(bytes(parts[place]))) for place in telling]
    if any(problem for _, problem in read):
        return None
    for place in reversed(telling):
        del glances[place]
    return Skimmed(Decoded(tuple(event for event, _ in read if event), ()), tuple(glances))
