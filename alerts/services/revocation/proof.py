"""The proof that a plan took effect: every object is read again, and the cluster is asked about every holder."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import msgspec
from django.utils import timezone

from alerts import rbac
from alerts.audit.reason import Grant
from alerts.audit.visible import storable
from alerts.cluster.api import ClusterAPI
from alerts.cluster.errors import ClusterError, NotFound
from alerts.models import Revocation
from alerts.services.revocation import targets
from alerts.services.revocation.losses import Loss
from alerts.services.revocation.targets import Target

# An API server's authorizer learns of a deletion by a watch, a few milliseconds later than the store.
_PATIENCE = 2.0
_WAIT = 0.1
# A kubelet stops the containers of a deleted pod and then lets it go; an absent one never does.
_CONTAINERS_END = 10.0
_HOLDERS_ASKED = 25
_AT_ONCE = 8


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was verified: `passed` is None where the cluster could not be asked."""

    subject: str
    text: str
    passed: bool | None


def prove(api: ClusterAPI, revocation: Revocation) -> dict[str, Any]:
    """Return what the cluster says now: `objects` in the plan's order, `holders`, and `bindings` that still refer.

    Changes nothing on the cluster. Raises ClusterError where it cannot be reached.
    """
    goes = targets.of(revocation)
    losses = msgspec.convert(revocation.effects.get("losses", []), list[Loss])
    asked = [(loss, loss.example) for loss in losses if loss.example is not None][:_HOLDERS_ASKED]
    # Where an object could not be taken away, waiting for its holders to lose it is in vain.
    patience = _PATIENCE if all(result["ended"] for result in revocation.results) else 0.0
    # What a role fed loses its rules once the controller has run.
    gone = frozenset((*(target.key for target in goes), *revocation.effects.get("feeds", [])))
    until = time.monotonic() + patience
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        objects = pool.map(partial(_object, api), goes)
        holders = pool.map(lambda pair: _holder(api, *pair, gone=gone, until=until), asked)
        checks = {
            "objects": list(objects),
            "holders": list(holders),
            "bindings": _left(api, revocation, goes),
        }
    proof: dict[str, Any] = msgspec.to_builtins(checks | {"at": timezone.now().isoformat()})
    return proof


def _object(api: ClusterAPI, target: Target) -> Check:
    about = str(target)
    try:
        live = api.read(target.reference)
        until = time.monotonic() + _CONTAINERS_END
        while _is_ending(target, live) and time.monotonic() < until:
            time.sleep(_WAIT)
            live = api.read(target.reference)
    except NotFound:
        return Check(subject=about, text="The cluster answers that it does not exist (404).", passed=True)
    except ClusterError as problem:
        return _unknown(about, problem)
    metadata = live["metadata"]
    if metadata["uid"] != target.uid:
        text = f"Another object of its name exists, made {metadata.get('creationTimestamp')} (uid {metadata['uid']})."
        return Check(subject=about, text=storable(text), passed=False)
    if target.taken_from(live):
        text = "It exists with empty rules." if target.action == "empty" else "It exists without those labels."
        return Check(subject=about, text=text, passed=True)
    if metadata.get("deletionTimestamp"):
        held = storable(", ".join(metadata.get("finalizers") or ()))
        by = f"held by {held}" if held else "its containers have not ended"
        return Check(subject=about, text=f"It is being deleted, {by}, and still in force.", passed=False)
    return Check(subject=about, text="It exists.", passed=False)


def _is_ending(target: Target, live: Mapping[str, Any]) -> bool:
    """Tell whether it is the planned pod, whose containers are being stopped."""
    metadata = live["metadata"]
    ending = metadata.get("deletionTimestamp") and not metadata.get("finalizers")
    return target.kind == "Pod" and metadata["uid"] == target.uid and bool(ending)


def _holder(api: ClusterAPI, loss: Loss, question: rbac.Request, *, gone: frozenset[str], until: float) -> Check:
    """Ask whether a holder may still do what only the role allowed, as long as the authorizer goes by what is gone."""
    try:
        answer = api.can(loss.username, loss.groups, question)
        while answer.allowed and _outdated(answer.reason, gone) and time.monotonic() < until:
            time.sleep(_WAIT)
            answer = api.can(loss.username, loss.groups, question)
    except ClusterError as problem:
        return _unknown(loss.subject, problem)
    if answer.allowed:
        why = storable(answer.reason or "no reason given")
        return Check(subject=loss.subject, text=f"May still {question}: {why}", passed=False)
    return Check(subject=loss.subject, text=f"May no longer {question}.", passed=True)


def _outdated(why: str, gone: frozenset[str]) -> bool:
    """Tell whether the authorizer's reason rests on an object that was taken away."""
    grant = Grant.of(why)
    if grant is None:
        return True
    role = (grant.role_kind, grant.role_namespace, grant.role_name)
    binding = (grant.binding_kind, grant.binding_namespace, grant.binding_name)
    return any("/".join(map(storable, named)) in gone for named in (role, binding))


def _left(api: ClusterAPI, revocation: Revocation, goes: list[Target]) -> list[Check]:
    """Look for bindings that refer to a role that was to go entirely: made since the plan, or not deleted."""
    about = revocation.alert.object
    if revocation.mode != Revocation.Mode.REVOKE or about is None or about.kind in targets.BINDING_KINDS:
        return []
    try:
        kinds = targets.BINDING_KINDS if about.kind == "ClusterRole" else ("RoleBinding",)
        manifests = [manifest for kind in kinds for manifest in api.list_all(kind)]
    except ClusterError as problem:
        return [_unknown("Bindings", problem)]
    planned = {target.key for target in goes}
    left = (Target.of(each) for each in targets.referring(manifests, about.kind, about.namespace, about.name))
    return [
        Check(subject=str(target), text="It refers to the role and was made since the plan.", passed=False)
        for target in left
        if target.key not in planned
    ]


def _unknown(about: str, problem: ClusterError) -> Check:
    """Return that it could not be asked.

    Raises the problem if asking again later can help.
    """
    if problem.transient:
        raise problem
    return Check(subject=about, text=storable(str(problem)), passed=None)
