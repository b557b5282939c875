"""Alerts about the audit trail itself: a change that no event tells of, a stream that is silent, damaged data.

The first question, who did it, is answered with what is known instead of an event. An object that still stands is
investigated like any other besides.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from alerts import rbac
from alerts.audit.visible import visible
from alerts.cluster.kinds import ObjectReference
from alerts.detections import audit_data_damaged, audit_stream_silent, unaudited_change
from alerts.models import AccessVersion, AuditEvent, Batch, DamagedItem
from alerts.services import listing, reconciliation, refusal, webhook
from alerts.services.investigation.case import Case
from alerts.services.roles import ROLE_KINDS

UNAUDITED, TOUCHED, GONE, SILENT, DAMAGED = 60, 30, 50, 70, 60
_SHOWN = 25
_NO_ROLE = "This alert is about the audit trail itself; no role stands to be looked at."

type Pairs = list[list[str]]


def alone(case: Case) -> dict[str, Any] | None:
    """Return the fields of an alert about the trail where no role stands; None for every other alert."""
    match case.alert.detection:
        case audit_stream_silent.NAME:
            return _silent(case)
        case audit_data_damaged.NAME:
            return _damaged(case)
        case unaudited_change.NAME if case.role is None or case.ref is None or case.ref.kind not in ROLE_KINDS:
            return _unaudited(case, _binding_score(case))
    return None


def over(case: Case, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an alert as gathered, but of an unaudited change with what stands in for the event."""
    if case.alert.detection != unaudited_change.NAME:
        return fields
    instead = _unaudited(case, fields["score"])
    kept = {"creator": fields["evidence"]["creator"]} if case.opening is not None else {}
    factors = [*fields["factors"], *instead["factors"]]
    permissions = fields["evidence"]["permissions"] | {
        "score": {"score": instead["score"], "severity": instead["severity"], "factors": factors}
    }
    evidence = fields["evidence"] | {"creator": instead["evidence"]["creator"], "permissions": permissions} | kept
    return fields | instead | {"evidence": evidence, "factors": factors}


def _fields(score: int, factor: str, story: Pairs, creator: dict[str, Any]) -> dict[str, Any]:
    severity = rbac.Severity.of(score).value
    factors = [[factor, f"at least {score}"]]
    return {
        "evidence": {
            "creator": creator,
            "permissions": {
                "summary": _NO_ROLE,
                "chips": [],
                "known": False,
                "score": {"score": score, "severity": severity, "factors": factors},
            },
            "use": {"summary": _NO_ROLE, "chips": []},
        },
        "story": story,
        "score": score,
        "severity": severity,
        "factors": factors,
    }


def _unaudited(case: Case, known: int) -> dict[str, Any]:
    """Return the fields for an unaudited change of something that by itself weighs `known`."""
    alert = case.alert
    version = alert.unaudited_versions.order_by("at", "pk").first()
    if version is None:
        late: Pairs = [["strong", alert.actor or "Somebody"], ["", " did this: the audit event came, but late."]]
        return _fields(max(known, TOUCHED), "its audit event came late", late, _creator("The audit event came late."))
    named, before = version.object, reconciliation.known_before(version)
    lines = _differences(before, version)
    if version.deletion:
        floor, factor = GONE, "no audit event tells who removed it"
    elif lines or before is None:
        floor, factor = UNAUDITED, "no audit event tells who made it so"
    else:
        floor, factor = TOUCHED, "no audit event tells who touched it; nothing of what it grants changed"
    story: Pairs = [
        ["", "The cluster shows that "],
        ["strong", str(named)],
        ["", f" {_deed(before, version)}, and "],
        ["strong", "no audit event"],
        ["", " says by whom."],
    ]
    creator = _creator(
        "Nobody knows: no audit event tells of it.",
        facts=[*_standings(before, version), *_in_between(case, before, version)],
        lines=lines or [["", "Nothing of what it grants changed."]],
        todo=[
            "Ask the API server’s own log for “Error in audit plugin” and “audit events” in that time.",
            "Read the object with the command below: managedFields names the client that wrote last through the API.",
            "Look at who can reach etcd, and at who restored a backup: such writes leave no audit event.",
        ],
        command=f"kubectl get --raw {ObjectReference(named.kind, named.namespace, named.name).path}",
    )
    return _fields(max(floor, known), factor, story, creator)


def _binding_score(case: Case) -> int:
    """Return how bad the role is that a binding gives away; 0 where there is none, or nobody knows it."""
    version = case.version
    if version is None or case.ref is None or case.ref.kind in ROLE_KINDS:
        return 0
    try:
        ref = rbac.Binding.of_manifest(version.manifest or {}).role
    except rbac.InvalidRules:
        return 0
    return rbac.assess(case.now.rules(ref), ref=ref, access=case.now).score


def _deed(before: AccessVersion | None, version: AccessVersion) -> str:
    deed = unaudited_change.deed(reconciliation.standing(before), reconciliation.standing_of(version))
    return {"replaced": "was replaced by another of its name"}.get(deed, deed)


def _differences(before: AccessVersion | None, version: AccessVersion) -> Pairs:
    old = before.manifest if before is not None and not before.deletion else None
    return [[sign, visible(text)] for sign, text in unaudited_change.differences(old, version.manifest)]


def _standings(before: AccessVersion | None, version: AccessVersion) -> Pairs:
    return [
        ["Last known", _standing(before) if before is not None else "never seen before"],
        ["Now", _standing(version)],
    ]


def _standing(version: AccessVersion) -> str:
    how = f"by {version.event.username or 'somebody'}" if version.event else "seen in a listing"
    what = (
        "it did not exist" if version.deletion else f"version {version.resource_version or 'unknown'} of {version.uid}"
    )
    return visible(f"{what}, {how}, {_utc(version.at)}")


def _in_between(case: Case, before: AccessVersion | None, version: AccessVersion) -> Pairs:
    """Return what else went wrong with the trail between two versions."""
    until = version.at + reconciliation.grace()
    received = {"received_at__lte": until} | ({"received_at__gte": before.at} if before is not None else {})
    damaged = DamagedItem.objects.filter(cluster=case.cluster, **received).count()
    aside = Batch.objects.filter(cluster=case.cluster, state=Batch.State.QUARANTINED, **received).count()
    return [
        ["Damaged meanwhile", f"{damaged} audit events"],
        ["Set aside meanwhile", f"{aside} batches: the event may be in one of them" if aside else "0 batches"],
    ]


def _silent(case: Case) -> dict[str, Any]:
    cluster = case.cluster
    canary = cluster.canaries.order_by("-sent_at").first()
    heard = cluster.canaries.filter(seen_at__isnull=False).order_by("-sent_at").first()
    silent = cluster.silent_since is not None
    story: Pairs = [
        ["strong", f"Audit events of {cluster.name} {'do not arrive' if silent else 'did not arrive'}"],
        ["", f" since {_utc(case.alert.happened_at)}: what happens there is not seen."]
        if silent
        else ["", f" from {_utc(case.alert.happened_at)} on. They do again; what happened meanwhile was not seen."],
    ]
    creator = _creator(
        "Silent still." if silent else "The stream is back.",
        chips=[["high", "Silent"]] if silent else [["good", "Back"]],
        facts=[
            ["Last event", _ago(cluster.last_event_at)],
            ["Last batch", _ago(cluster.last_batch_at)],
            ["Last test request", _ago(canary.sent_at if canary else None)],
            ["Last one whose event came", _ago(heard.sent_at if heard else None)],
            ["Why none can be sent", visible(cluster.canary_error) or "nothing stands in the way"],
        ],
        todo=[
            "Look at the API server’s log for “Error in audit plugin 'webhook'”.",
            "Compare --audit-policy-file and --audit-webhook-config-file with what was set up: were they changed?",
            "Check that the API server reaches Rolecall: network policies, certificates, proxies, the hook’s token.",
            "When it is back, look at the unaudited changes on the cluster’s page: they tell what was missed.",
        ],
    )
    return _fields(SILENT, "a cluster that is not seen can be changed unseen", story, creator)


def _damaged(case: Case) -> dict[str, Any]:
    alert = case.alert
    if refusal.told(alert).exists():
        return _refused(case)
    rows = list(alert.events.order_by("at", "pk")[: _SHOWN + 1])
    items = alert.damaged_items.order_by("pk").defer("body")
    aside = alert.quarantined_batches.order_by("pk").defer("body", "mentions")
    left = aside.filter(state=Batch.State.QUARANTINED).count()
    what = f"{aside.count()} batches could not be examined" if aside else f"{alert.events.count()} events are damaged"
    story: Pairs = [
        ["strong", alert.actor or "Nobody knows whose audit data this is"],
        ["", ": " if alert.actor else ". "],
        ["", f"{what}, and what they would tell about roles and bindings is incomplete."],
    ]
    creator = _creator(
        f"{what[:1].upper()}{what[1:]}.",
        facts=[
            ["Events", str(alert.events.count())],
            ["Damaged items", str(items.count())],
            ["Batches set aside", f"{aside.count()}, {left} of them still"],
        ],
        lines=[
            *([["", _row(row)] for row in rows[:_SHOWN]]),
            *([["", visible(f"item {each.position}: {each.reason}")] for each in items[:_SHOWN]]),
            *([["", visible(f"batch {each}: {each.error or 'examined since'}")] for each in aside[:_SHOWN]]),
        ],
        todo=[
            "Look at the objects named here as they are on the cluster now: the events do not show all of it.",
            "Ask the actor what made the request; an ordinary client sends none of these.",
            "Batches that were set aside can be examined again from the cluster’s page, once the cause is gone.",
        ],
    )
    return _fields(DAMAGED, "damaged audit data hides what was done", story, creator)


def _refused(case: Case) -> dict[str, Any]:
    cluster, told = case.cluster, refusal.told(case.alert)
    story: Pairs = [
        ["strong", case.alert.title],
        ["", f", and what the API server of {cluster.name} does not get rid of it gives up: nobody knows what it was."],
    ]
    readable = listing.listable().filter(pk=cluster.pk).exists()
    creator = _creator(
        "Nobody knows whose events are lost.",
        facts=[
            ["Noted", f"{told.count()} times, at most one in five minutes"],
            ["Roles last listed", _ago(cluster.inventory_at)],
        ],
        lines=[["", visible(f"{_utc(each.at)} {each.summary}")] for each in told[:_SHOWN]],
        todo=[
            "The cluster’s roles and bindings are listed; look at what changed without an audit event since."
            if readable
            else "Rolecall may not list this cluster: look yourself, with the command below, at what was made since.",
            "Ask the API server’s own log for “Error in audit plugin 'webhook'”: it says how many events are lost.",
            f"Start the API server with {webhook.BATCH_MAX_SIZE}: then a batch holds few events, however large.",
            "Look for who sends long headers or addresses; the proxy or the API server’s own audit log shows them.",
        ],
        command="kubectl get clusterroles,clusterrolebindings,roles,rolebindings --all-namespaces "
        "--sort-by=.metadata.creationTimestamp",
    )
    return _fields(DAMAGED, "whatever is in a refused batch is not seen", story, creator)


def _row(row: AuditEvent) -> str:
    problem = (
        "cut or malformed" if row.incomplete else f"audit ID of {len(str(row.body.get('auditID', ''))):,} characters"
    )
    where = f"{row.namespace}/" if row.namespace else ""
    return visible(
        f"{_utc(row.at)} {row.verb or 'unknown verb'} {row.resource or 'unknown'} {where}{row.name}: {problem}"
    )


def _creator(
    summary: str,
    *,
    chips: Pairs | None = None,
    facts: Pairs | None = None,
    lines: Pairs | None = None,
    todo: Iterable[str] = (),
    command: str = "",
) -> dict[str, Any]:
    trail = {"facts": facts or [], "lines": lines or [], "todo": list(todo), "command": command}
    return {"summary": summary, "chips": chips or [["high", "Unknown"]], "trail": trail}


def _ago(at: datetime | None) -> str:
    return _utc(at) if at else "never"


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
