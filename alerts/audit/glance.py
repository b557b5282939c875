"""A glance at a batch as an API server posts it: enough of each event to tell whether it can matter, and to index it.

Most of what clusters do is reading and renewing leases. Of such an event nobody needs more than this.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec
from msgspec import Raw, Struct, field

from alerts.audit import salvage
from alerts.audit.decode import Decoded, decode
from alerts.audit.event import UNBODIED, Code, Event, Time

_EVENT_LIST = b'{"kind":"EventList"'


class _Person(Struct, frozen=True, gc=False):
    username: str = ""


class _ObjectReference(Struct, frozen=True, gc=False, rename="camel"):
    resource: str = ""
    api_group: str = ""


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
    object_ref: _ObjectReference | None = None
    response_status: _ResponseStatus | None = None
    request_object: Raw = UNBODIED
    response_object: Raw = UNBODIED
    request_received_timestamp: Time | None = None
    stage_timestamp: Time | None = None
    annotations: _Annotations | None = None

    @property
    def at(self) -> datetime | None:
        """When the request reached the API server."""
        return self.request_received_timestamp or self.stage_timestamp

    @property
    def reason(self) -> str:
        """The authorizer's reason, as it stands."""
        return self.annotations.reason if self.annotations is not None else ""


class _Glances(Struct, gc=False):
    items: list[Glance]


class _Split(Struct, gc=False):
    items: list[Raw]


_glances = msgspec.json.Decoder(_Glances)
_split = msgspec.json.Decoder(_Split)
_event = msgspec.json.Decoder(Event)


@dataclass(frozen=True, slots=True)
class Skimmed:
    """Everything a body held: the events that may matter, complete or damaged, and a glance at each of the others."""

    decoded: Decoded
    routine: tuple[Glance, ...] = ()

    @property
    def everything(self) -> "tuple[Event | Glance, ...]":
        """All of them that could be read."""
        return (*self.decoded.events, *self.routine)


def skim(body: bytes, matters: Callable[[Glance], bool]) -> Skimmed:
    """Decode the events of a body that matter by that judgement, and glance at the others.

    Only the list of an API server is skimmed, and only where nothing in it is damaged: of anything else every event is
    decoded. So a glance is always at a sound event, as far as it looks.
    """
    try:
        return _skimmed(body, matters) or Skimmed(decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Skimmed(decode(body))


def _skimmed(body: bytes, matters: Callable[[Glance], bool]) -> Skimmed | None:
    """Return what a sound list holds; None for anything else, and where a body is nested too deep.

    Raises what msgspec raises where the list is not sound.
    """
    if not body.startswith(_EVENT_LIST):
        return None
    if not body.isascii():
        body.decode()
    telling, routine = list[int](), list[Glance]()
    for place, glance in enumerate(_glances.decode(body).items):
        bodied = glance.request_object is not UNBODIED or glance.response_object is not UNBODIED
        if bodied and _too_deep(glance):
            return None
        if matters(glance):
            telling.append(place)
        else:
            routine.append(glance)
    parts = _split.decode(body).items if telling else []
    return Skimmed(Decoded(tuple(_complete(bytes(parts[place])) for place in telling), ()), tuple(routine))


def _too_deep(glance: Glance) -> bool:
    bodies = (bytes(each) for each in (glance.request_object, glance.response_object) if each is not UNBODIED)
    return any(salvage.depth(each) > salvage.DEEPEST for each in bodies)


def _complete(raw: bytes) -> Event:
    event = _event.decode(raw)
    msgspec.structs.force_setattr(event, "raw", raw)
    msgspec.structs.force_setattr(event, "salvaged", False)
    return event
