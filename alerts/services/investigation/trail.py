"""Alerts about the audit trail itself: a change that no event tells of, a stream that is silent, damaged data.

The first question, who did it, is answered with what is known instead of an event. An object that still stands is
investigated like any other besides.
"""

from typing import Any

from alerts import rbac
from alerts.audit.visible import visible
from alerts.cluster.kinds import ObjectReference
from alerts.detections import audit_data_damaged, audit_stream_silent, cluster_out_of_reach, unaudited_change
from alerts.models import AccessVersion, Batch, DamagedItem
from alerts.services import reconciliation
from alerts.services.investigation import damage, silence, stand_in
from alerts.services.investigation.case import Case
from alerts.services.investigation.stand_in import Pairs
from alerts.services.roles import ROLE_KINDS

UNAUDITED, TOUCHED, GONE = 60, 30, 50


def alone(case: Case) -> dict[str, Any] | None:
    """Return the fields of an alert about the trail where no role stands; None for every other alert."""
    match case.alert.detection:
        case audit_stream_silent.NAME:
            return silence.silent(case)
        case cluster_out_of_reach.NAME:
            return silence.out_of_reach(case)
        case audit_data_damaged.NAME:
            return damage.damaged(case)
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


def _unaudited(case: Case, known: int) -> dict[str, Any]:
    """Return the fields for an unaudited change of something that by itself weighs `known`."""
    alert = case.alert
    version = alert.unaudited_versions.order_by("at", "pk").first()
    if version is None:
        late: Pairs = [
            ["strong", alert.actor or "Somebody"],
            ["", " did this: the audit event came, but late."],
        ]
        return stand_in.fields(
            max(known, TOUCHED), "its audit event came late", late, stand_in.creator("The audit event came late.")
        )
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
    creator = stand_in.creator(
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
    return stand_in.fields(max(floor, known), factor, story, creator)


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
    return visible(f"{what}, {how}, {stand_in.utc(version.at)}")


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
