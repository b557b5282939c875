"""Question 1: who created it, from where, with what, by which right, and whether that is usual for them."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from alerts.audit.event import WRITES, Event, metadata_of
from alerts.audit.reason import Grant
from alerts.models import AuditEvent
from alerts.rbac.subjects import MASTERS
from alerts.services.investigation import sightings, tools
from alerts.services.investigation.acts import act_of, told
from alerts.services.investigation.attack import RBAC
from alerts.services.investigation.case import Case
from alerts.services.investigation.timeline import entries

_SHOWN = 25


def evidence(case: Case) -> dict[str, Any]:
    """Return the evidence for the step, as plain JSON."""
    row = case.opening
    if row is None:
        return {"summary": "The audit event is not stored any more.", "chips": []}
    seen = list(sightings.of(case, row))
    unusual = [sighting for sighting in seen if sighting["new"]]
    return {
        "summary": _summary(case, row, unusual),
        "chips": [["high", f"New {sighting['what']}"] for sighting in unusual],
        "actor": case.alert.actor,
        "groups": row.groups,
        "impersonator": row.username if row.impersonated else "",
        "address": sightings.address(row),
        "addresses": row.source_ips or [],
        "observed": row.source_ips[-1] if row.source_ips else "",
        "client": row.user_agent,
        "allowed_by": allowed_by(row),
        "refused": _refusal(row) if case.alert.attempted else "",
        "tool": tool_of(row),
        "sightings": seen,
        "history": {
            "since": case.history.since.isoformat() if case.history.since else "",
            "requests": len(case.past.events),
            "gaps": case.past.gaps,
        },
        "usual": _usual(case, row),
        "acts": entries(
            told(act for event in case.past.events if (act := act_of(event))),
            day=case.alert.happened_at.date(),
            limit=_SHOWN,
            newest=True,
        ),
    }


def allowed_by(row: AuditEvent) -> dict[str, str]:
    """Return what allowed the request, from the authorizer's own reason; `text` says it, or why it is not known."""
    grant = Grant.of(row.reason)
    if grant is not None:
        namespace = f"{grant.binding_namespace}/" if grant.binding_namespace else ""
        return {
            "role": grant.role_name,
            "role_kind": grant.role_kind,
            "binding": f"{grant.binding_kind} {namespace}{grant.binding_name}",
            "subject": f"{grant.subject_kind} {grant.subject_name}",
            "text": "",
        }
    groups = (row.impersonated or {}).get("groups") or row.groups or ()
    if row.decision == "forbid":
        text = "Nothing: the authorizer refused it."
    elif MASTERS in groups and not row.reason:
        text = "The group system:masters, which no role or binding governs."
    else:
        text = "Not recorded." if not row.reason else "Another authorizer than RBAC."
    return {"role": "", "role_kind": "", "binding": "", "subject": "", "text": text}


def _refusal(row: AuditEvent) -> str:
    """Return the API server's own words for refusing it."""
    status = row.body.get("responseStatus")
    message = status.get("message") if isinstance(status, dict) else None
    return message if isinstance(message, str) else "It was refused; the answer was not recorded."


def tool_of(row: AuditEvent) -> dict[str, Any]:
    """Return which release tool it looks like, and what speaks for that; empty for none."""
    manifest = row.body.get("responseObject") or row.body.get("requestObject")
    metadata = metadata_of(manifest)
    fields = metadata.get("managedFields")
    managers = (
        [str(each.get("manager")) for each in fields if isinstance(each, dict)] if isinstance(fields, list) else []
    )
    marks = {
        str(key): str(value)
        for part in ("labels", "annotations")
        if isinstance(written := metadata.get(part), dict)
        for key, value in written.items()
    }
    found = tools.recognise(row.user_agent, managers, marks)
    return {"name": found.tool, "signs": list(found.signs)} if found else {}


def rbac_writes(events: Iterable[Event]) -> list[Event]:
    """Return the requests that changed roles or bindings."""
    return [event for event in events if event.group == RBAC and event.verb in WRITES and event.succeeded]


def _usual(case: Case, row: AuditEvent) -> str:
    """Return whether writing RBAC like this is what the actor usually does, in a sentence."""
    if case.history.since is None or case.history.since >= case.alert.happened_at:
        return "Whether it is usual is unknown: no earlier events are stored."
    writes = rbac_writes(case.past.events)
    if not writes:
        return f"{case.alert.actor} wrote no role or binding before, in the history that is stored."
    clients = Counter(sightings.client_of(event) or "an unnamed client" for event in writes)
    addresses = Counter(sightings.address_of(event) or "an unknown address" for event in writes)
    over = {each for event in writes for each in sightings.addresses_of(event)}
    (client, _), (home, _) = clients.most_common(1)[0], addresses.most_common(1)[0]
    before = f"{case.alert.actor} wrote RBAC {len(writes)} time{'' if len(writes) == 1 else 's'} before"
    if row.user_agent in clients and row.source_ips and over.issuperset(row.source_ips):
        return f"{before}, with this client from this address too."
    return f"It is not usual: {before}, with {client} from {home}."


def _summary(case: Case, row: AuditEvent, unusual: list[dict[str, Any]]) -> str:
    actor = case.alert.actor or "Nobody who was authenticated"
    acting = f"{row.username} acting as {actor}" if row.impersonated else actor
    news = {sighting["what"] for sighting in unusual}
    if "actor" in news:
        return f"{acting}, who was not seen on this cluster before"
    if {"address", "client"} <= news:
        return f"{acting}, from an address and with a client that are new to it"
    if news:
        return f"{acting}, {'from an address' if 'address' in news else 'with a client'} that is new to it"
    return (
        f"{acting}, from {sightings.address(row) or 'an unknown address'}, with {row.user_agent or 'an unnamed client'}"
    )
