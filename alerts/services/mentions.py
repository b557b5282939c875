"""What occurs in a batch, one line each, so that a search need not open the batches that cannot matter.

The lines are `actor USERNAME`, `address IP` and `client USER-AGENT`; of what allowed a request `role ClusterRole//NAME`
or `role Role/NAMESPACE/NAME`, and `binding KIND/NAMESPACE/NAME`; of RBAC writes `object RESOURCE/NAMESPACE/NAME`, and
of a written binding the role it refers to. A deletecollection names nothing, `object RESOURCE/NAMESPACE/`, and besides
the first objects that its answer lists. Names stand as `visible` shows them, so a line stays a line.
"""

import hashlib
from collections.abc import Collection, Iterator
from itertools import islice

from django.db.models import Q

from alerts.audit import redaction
from alerts.audit.event import Event
from alerts.audit.glance import Glance
from alerts.audit.reason import Grant
from alerts.audit.remembered import remembered
from alerts.audit.visible import visible
from alerts.detections import writes
from alerts.detections.writes import BINDINGS, KINDS
from alerts.models.lines import HasAnyLine

# A name has no limit of its own; an index of names needs one. Beyond it, its hash tells names apart.
_LONGEST = 500
# Of the objects that one request deleted. Whoever looks for another finds the request by the name that it lacks.
_OF_ONE_REQUEST = 200
# Anybody may call their client something else in each request, and each would be a line.
_LONGEST_CLIENT = 100
_CUT = "…"


def role(kind: str, namespace: str, name: str) -> str:
    """Return the line for a role that allowed a request, or that a binding was written for."""
    return _line("role", kind, namespace, name)


def binding(kind: str, namespace: str, name: str) -> str:
    """Return the line for a binding that allowed a request."""
    return _line("binding", kind, namespace, name)


def actor(username: str) -> str:
    """Return the line for somebody who made a request, or was impersonated in one."""
    return _line("actor", username)


def address(address: str) -> str:
    """Return the line for where a request says it came from."""
    return _line("address", address)


# The same few clients are in every batch, and it takes long to look for tokens in what they call themselves.
@remembered(entries=1024, longest=_LONGEST)
def client(user_agent: str) -> str:
    """Return the line for what a client calls itself."""
    return _line("client", redaction.text(user_agent), longest=_LONGEST_CLIENT)


def clients(user_agent: str) -> list[str]:
    """Return the lines by which a client is found: its own, and the longer one that older batches may have."""
    lines, longer = [client(user_agent)], visible(redaction.text(user_agent))
    # Not where it calls itself what another is cut to: the longer line would be the other's, and it would seem known.
    if len(longer) > _LONGEST_CLIENT and longer[_LONGEST_CLIENT] != _CUT:
        lines.append(_line("client", longer))
    return lines


def object_(resource: str, namespace: str, name: str) -> str:
    """Return the line for a role or binding that somebody wrote, or tried to."""
    return _line("object", resource, namespace, name)


def _line(what: str, *parts: str, longest: int = _LONGEST) -> str:
    text = visible("/".join(parts))
    if len(text) > longest:
        text = f"{text[:longest]}{_CUT}{hashlib.sha256(text.encode()).hexdigest()}"
    return f"{what} {text}"


def of(events: Collection[Event], routine: Collection[Glance] = ()) -> str:
    """Return the lines of events, each once, sorted, every line ended by a line feed and the first one begun by one.

    `routine` are events glanced at, of which none wrote a role or binding, or was somebody under another's name.
    """
    # Few people ask in few ways for much: what is the same in many events is put into words once.
    usernames = {each.user.username for each in routine} | {event.user.username for event in events}
    usernames |= {event.impersonated_user.username for event in events if event.impersonated_user is not None}
    addresses = {each.source_ips.first for each in routine if each.source_ips is not None}
    addresses |= {event.source_ips[0] for event in events if event.source_ips}
    clients = {each.user_agent for each in routine} | {event.user_agent for event in events}
    reasons = {each.annotations.reason for each in routine if each.annotations} | {event.reason for event in events}
    lines = {actor(username) for username in usernames if username}
    lines.update(map(address, filter(None, addresses)), map(client, filter(None, clients)))
    for reason in reasons:
        lines.update(_allowed_by(reason))
    for event in events:
        if event.writes_rbac:
            lines.update(_written(event))
    return "".join(f"\n{line}" for line in sorted(lines)) + "\n" if lines else ""


# The same few bindings allow most of what happens.
@remembered(entries=1024, longest=_LONGEST)
def _allowed_by(reason: str) -> tuple[str, ...]:
    grant = Grant.of(reason)
    if grant is None:
        return ()
    return (
        role(grant.role_kind, grant.role_namespace, grant.role_name),
        binding(grant.binding_kind, grant.binding_namespace, grant.binding_name),
    )


def objects(event: Event) -> Iterator[str]:
    """Yield the lines for what a write of roles or bindings is about: what it names, and what it says it deleted."""
    yield object_(event.resource, event.namespace, event.name)
    for namespace, name in writes.collection(event) or ():
        yield object_(event.resource, namespace, name)


def _written(event: Event) -> Iterator[str]:
    yield from islice(objects(event), 1 + _OF_ONE_REQUEST)
    request = event.request if KINDS.get(event.resource) in BINDINGS else None
    reference = request.get("roleRef") if isinstance(request, dict) else None
    if isinstance(reference, dict):
        kind, name = (str(reference.get(key, "")) for key in ("kind", "name"))
        yield role(kind, event.namespace if kind == "Role" else "", name)


def any_of(lines: Collection[str]) -> Q:
    """Return the condition on batches that mention any of these lines."""
    return Q(HasAnyLine("mentions", lines)) if lines else Q(pk__in=())
