"""Removing what was left behind: workloads, accounts, webhooks and the like, by the same way as a role goes.

Planned on the very objects, rehearsed, agreed to, run once and proved; each item of the list is ticked by its proof.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.utils import timezone

from alerts import rbac
from alerts.audit import redaction
from alerts.audit.visible import storable
from alerts.cluster.api import ClusterAPI
from alerts.cluster.errors import ClusterError, NotFound
from alerts.cluster.kinds import RBAC_KINDS, WORKLOAD_KINDS, ObjectReference
from alerts.models import Alert, RemedyItem, Revocation
from alerts.services import connection
from alerts.services.revocation import planning
from alerts.services.revocation.cautions import Caution, of_ourselves, of_reach, of_rehearsal
from alerts.services.revocation.freshness import current
from alerts.services.revocation.losses import Change
from alerts.services.revocation.own_requests import rehearsal_names
from alerts.services.revocation.owners import returning
from alerts.services.revocation.planning import Draft
from alerts.services.revocation.protection import Refusal, protection
from alerts.services.revocation.rehearsal import rehearse
from alerts.services.revocation.targets import Manifest, Surroundings, Target

KINDS = (
    *WORKLOAD_KINDS,
    *RBAC_KINDS,
    "ServiceAccount",
    "CertificateSigningRequest",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
)
NOTHING = "Choose at least one thing that is still there."
GONE = "It is gone already: the cluster has none of what was chosen."
# A creationTimestamp has whole seconds, and an audit event the time at which its request came in.
_SAME_MOMENT = timedelta(seconds=5)
_MIRROR = "kubernetes.io/config.mirror"
_SYSTEM = ("kube-system", "kube-public", "kube-node-lease")


def removable(alert: Alert) -> list[RemedyItem]:
    """Return the items that a plan can remove: made anew, of a kind we delete, and neither gone nor dealt with."""
    items = alert.remedy_items.filter(object_kind__in=KINDS, ticked_at=None)
    return list(items.exclude(state__in=[RemedyItem.State.GONE, RemedyItem.State.READ]))


def plan_removal(alert: Alert, chosen: Iterable[int]) -> Revocation:
    """Read the chosen items' objects, rehearse their deletion, and store the plan; earlier plans of this become stale.

    What cannot be read or deleted becomes the plan's error. While one is under way, that one is returned.
    """
    newest = current(alert, Revocation.Mode.REMOVE)
    if newest and newest.is_active():
        return newest
    begun, keys = timezone.now(), set(chosen)
    made = draft(alert, [item for item in removable(alert) if item.pk in keys])
    return planning.save(alert, Revocation.Mode.REMOVE, made, begun)


def draft(alert: Alert, items: list[RemedyItem]) -> Draft:
    """Return what a plan made now comes to; nothing is stored."""
    try:
        with connection.connect(alert.cluster) as api:
            return _live(api, alert, items)
    except (connection.NotConnected, ClusterError, rbac.InvalidRules) as problem:
        return Draft(targets=[], effects={"remembered": True, "items": {}}, error=storable(str(problem)))


def redraft(revocation: Revocation) -> Draft:
    """Return what the plan would come to if it were made now."""
    keys = revocation.effects.get("items", {}).values()
    return draft(revocation.alert, list(revocation.alert.remedy_items.filter(pk__in=list(keys))))


def proved(revocation: Revocation) -> Iterator[int]:
    """Yield the keys of the items whose objects the cluster answered to be gone."""
    items = revocation.effects.get("items", {})
    for target, check in zip(revocation.plan, revocation.proof.get("objects", []), strict=False):
        key = "/".join((target["kind"], target["namespace"], target["name"]))
        if check["passed"] is True and key in items:
            yield items[key]


def _live(api: ClusterAPI, alert: Alert, items: list[RemedyItem]) -> Draft:
    found = [(item, live) for item in items if (live := _read(api, item)) is not None]
    goes = [_pinned(live) for _, live in found]
    myself, change = planning.ourselves(api), _change(api, goes)
    effects: dict[str, Any] = {
        "items": {target.key: item.pk for (item, _), target in zip(found, goes, strict=True)},
        "ourselves": myself.username if myself else "",
        "same": [_same(item, live) for item, live in found],
        "with": {target.key: _dependants(target) for target in goes},
        "losses": msgspec.to_builtins(change.losses()) if change else [],
    }
    made = Draft(
        targets=goes, effects=redaction.storable_json(effects), refusals=list(_refusals(found, effects["ourselves"]))
    )
    if not alert.cluster.revocable:
        made.error = planning.READ_ONLY
    elif goes and not made.refusals:
        made.rehearsal = list(rehearse(api, goes, name=rehearsal_names(alert.cluster, by=effects["ourselves"])))
        made.error = planning.standing_in_the_way(goes, made.rehearsal)
    known = [*_cautions(found, goes), *of_rehearsal(goes, made.rehearsal)]
    known += [*of_reach(change), *of_ourselves(change, myself)] if change else []
    made.cautions = sorted(known, key=lambda caution: not caution.grave)
    if not goes:
        made.error = GONE if items else NOTHING
    return made


def _change(api: ClusterAPI, goes: list[Target]) -> Change | None:
    """Return what the plan changes of who may do what, None where no role or binding goes.

    Raises ClusterError.
    """
    permissions = [target for target in goes if target.kind in RBAC_KINDS]
    if not permissions:
        return None
    manifests = tuple(manifest for kind in RBAC_KINDS for manifest in api.list_all(kind))
    return Change(Surroundings(manifests, None, ()), permissions)


def _read(api: ClusterAPI, item: RemedyItem) -> Manifest | None:
    """Return the object of an item as it stands, None where it is gone.

    Raises ClusterError.
    """
    try:
        return api.read(ObjectReference(item.object_kind, item.namespace, item.name))
    except NotFound:
        return None


def _pinned(live: Manifest) -> Target:
    """Pin an object by its uid, and a role or binding by its version too.

    Its status is not kept, nor are the passwords that a workload may have in its environment.
    """
    kept = {key: value for key, value in live.items() if key != "status"}
    kept["metadata"] = {key: value for key, value in live["metadata"].items() if key != "managedFields"}
    if live["kind"] in RBAC_KINDS:
        return Target.of(kept)
    return Target.of(redaction.manifest(kept), versioned=False)


def _same(item: RemedyItem, live: Manifest) -> bool | None:
    """Tell whether the object was made when the event says; None where no time is known."""
    made = live["metadata"].get("creationTimestamp")
    if item.made_at is None or not made:
        return None
    return abs(datetime.fromisoformat(made) - item.made_at) <= _SAME_MOMENT


def _dependants(target: Target) -> str:
    """Return what Kubernetes takes away with it, as a sentence, or ""."""
    if target.kind == "Pod":
        return "Its containers get one second to end."
    if target.kind in WORKLOAD_KINDS:
        return "The garbage collector deletes its pods after it."
    return "Its tokens end with it." if target.kind == "ServiceAccount" else ""


def _refusals(found: list[tuple[RemedyItem, Manifest]], ourselves: str) -> Iterator[Refusal]:
    for _, live in found:
        metadata, name = live["metadata"], ObjectReference.of(live)
        if live["kind"] in RBAC_KINDS and (why := protection(live)):
            yield Refusal(f"{name} stays: {why}.", "Take it off the list, and look at what somebody added to it.")
        if _MIRROR in (metadata.get("annotations") or {}):
            yield Refusal(
                f"{name} stays: it mirrors a static pod, which its kubelet would show again.",
                "Delete the pod’s manifest on its node.",
            )
        account = f"system:serviceaccount:{metadata.get('namespace', '')}:{metadata['name']}"
        if live["kind"] == "ServiceAccount" and account == ourselves:
            yield Refusal(f"{name} stays: it is Rolecall’s own account.", "Take it off the list.")


def _cautions(found: list[tuple[RemedyItem, Manifest]], goes: list[Target]) -> Iterator[Caution]:
    for (item, live), target in zip(found, goes, strict=True):
        made = live["metadata"].get("creationTimestamp")
        if _same(item, live) is False:
            yield Caution(
                f"{target} is not the object of the audit event: it was made at another time ({made}).", grave=True
            )
        if target.namespace in _SYSTEM and (live["metadata"].get("labels") or {}).get("tier") == "control-plane":
            yield Caution(f"{target} says that it belongs to the control plane.", grave=True)
        for sentence in returning(live):
            yield Caution(f"{target} {sentence}")
