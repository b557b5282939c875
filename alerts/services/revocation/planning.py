"""The plan: what goes, pinned to the very objects, rehearsed on the cluster, with all there is to know before a run."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from alerts import rbac
from alerts.audit.redaction import storable_json
from alerts.audit.visible import storable
from alerts.cluster.api import ClusterAPI, Identity
from alerts.cluster.errors import ClusterError
from alerts.models import AccessObject, AccessVersion, Alert, Revocation
from alerts.services import connection
from alerts.services.revocation import memory, targets, use
from alerts.services.revocation.advice import advise
from alerts.services.revocation.attempt import AUDIT_ID
from alerts.services.revocation.cautions import Caution, cautions
from alerts.services.revocation.losses import Change
from alerts.services.revocation.own_requests import rehearsal_name
from alerts.services.revocation.protection import Refusal, protection, refusals
from alerts.services.revocation.rehearsal import Rehearsed, rehearse
from alerts.services.revocation.summary import write_evidence
from alerts.services.revocation.targets import Surroundings, Target

READ_ONLY = "Rolecall may read this cluster and not change it. An administrator can allow it on the cluster’s page."
RETRY = timedelta(minutes=1)
State = Revocation.State
GONE = "It is gone already: the cluster has neither the role nor a binding to it."


class NothingToRevoke(Exception):
    """The alert is about no object that exists: a refused attempt, or one whose name the audit log does not give."""


class Draft(msgspec.Struct, kw_only=True):
    """A plan in the making. `error` is "" or says why it cannot be run, `gone` that nothing is left to take away."""

    targets: list[Target]
    effects: dict[str, Any]
    rehearsal: list[Rehearsed] = []
    cautions: list[Caution] = []
    refusals: list[Refusal] = []
    error: str = ""

    @property
    def runnable(self) -> bool:
        """Whether it may be run."""
        return bool(self.targets) and not self.error and not self.refusals


def current(alert: Alert, mode: str = Revocation.Mode.REVOKE) -> Revocation | None:
    """Return what counts now: what is about to run or running; else the newest plan or run of that mode, or None."""
    rows = alert.revocations.all()
    active = rows.filter(state__in=[State.SCHEDULED, State.RUNNING]).first()
    return active or rows.filter(mode=mode).exclude(state=State.STALE).order_by("-pk").first()


def finished(alert: Alert) -> Revocation | None:
    """Return the newest revoke that was run to an end, or None."""
    ended = [State.DONE, State.PARTLY, State.FAILED]
    return alert.revocations.filter(state__in=ended).order_by("-pk").first()


def plannable(alert: Alert) -> bool:
    """Tell whether there is anything that a plan could take away."""
    return alert.object is not None and not alert.attempted


def wanted(alert: Alert, mode: str = Revocation.Mode.REVOKE) -> bool:
    """Tell whether a page that is opened now should have a new plan made in the background."""
    if not plannable(alert) or not alert.is_open():
        return False
    newest = current(alert, mode)
    if newest is None:
        return True
    if newest.is_active() or newest.state == State.DONE:
        return False
    if newest.state not in {State.PLANNED, State.REFUSED}:
        return True
    failed = newest.error and not newest.effects.get("gone")
    until = newest.planned_at + RETRY if failed else newest.valid_until
    return timezone.now() >= until or _changed_since(alert, newest)


def unplanned() -> list[Alert]:
    """Return the open alerts for which nothing was ever planned."""
    return list(Alert.objects.open().filter(object__isnull=False, attempted=False, revocations=None))


def plan(alert: Alert, mode: str = Revocation.Mode.REVOKE, *, chosen: Collection[str] | None = None) -> Revocation:
    """Read the cluster, rehearse, and store a new plan; earlier plans of that mode become stale.

    `chosen` are the keys of the bindings to unbind; None means those of the plan before, or all that are not protected.
    What the cluster refuses, or a cluster that cannot be reached, becomes the plan's error, with what we remember of
    the objects. While a revoke of the alert is about to run or running, that one is returned. Raises NothingToRevoke.
    """
    about = alert.object
    if about is None or not plannable(alert):
        raise NothingToRevoke("Nothing was made that could be revoked.")
    newest = current(alert, mode)
    if newest and newest.is_active():
        return newest
    if chosen is None and newest and mode == Revocation.Mode.UNBIND:
        chosen = [binding["key"] for binding in newest.effects["bindings"] if binding["chosen"]]
    begun = timezone.now()
    try:
        with connection.connect(alert.cluster) as api:
            draft = _live(api, alert, about, mode, chosen)
    except (connection.NotConnected, ClusterError, rbac.InvalidRules) as problem:
        draft = _from_memory(alert, mode, chosen, str(problem))
    return _save(alert, mode, draft, begun)


def _live(api: ClusterAPI, alert: Alert, about: AccessObject, mode: str, chosen: Collection[str] | None) -> Draft:
    found = targets.survey(api, about)
    goes = targets.choose(found, mode, _unprotected(found) if chosen is None else chosen)
    change = Change(found, goes)
    depended = use.dependence(alert, change)
    effects = _effects(alert, found, goes) | {
        "advice": advise(found),
        "losses": msgspec.to_builtins(change.losses()),
        "use": msgspec.to_builtins(depended.uses),
        "unread": depended.unread,
        "hours": use.HOURS,
        "gone": found.role is None and not found.bindings,
    }
    draft = Draft(targets=goes, effects=effects, refusals=refusals(mode, found, goes))
    if not alert.cluster.revocable:
        draft.error = READ_ONLY
    elif goes and not draft.refusals:
        draft.rehearsal = list(rehearse(api, goes, name=rehearsal_name()))
        draft.error = _standing_in_the_way(goes, draft.rehearsal)
    draft.cautions = cautions(alert, change, draft.rehearsal, _ourselves(api))
    if not goes:
        draft.error = _nothing(found, mode)
    return draft


def _from_memory(alert: Alert, mode: str, chosen: Collection[str] | None, problem: str) -> Draft:
    found = memory.remembered(alert)
    goes = targets.choose(found, mode, _unprotected(found) if chosen is None else chosen)
    gone = found.role is None and not found.bindings
    effects = _effects(alert, found, goes) | {"remembered": True, "gone": gone}
    error = f"As far as the audit events tell, it is gone already. {problem}" if gone else problem
    return Draft(targets=goes, effects=effects, error=storable(error))


def _unprotected(found: Surroundings) -> set[str]:
    return {Target.of(binding).key for binding in found.bindings if not protection(binding)}


def _effects(alert: Alert, found: Surroundings, goes: list[Target]) -> dict[str, Any]:
    """Return every binding there is, chosen or not, and which objects are those that we saw before."""
    keys = {target.key for target in goes}
    return {
        "bindings": [
            {"key": each.key, "text": str(each), "chosen": each.key in keys, "protected": protection(each.content)}
            for each in map(Target.of, found.bindings)
        ],
        "role": str(Target.of(found.role)) if found.role else "",
        "same": [_same(alert, target) for target in goes],
    }


def _same(alert: Alert, target: Target) -> bool | None:
    """Tell whether an object is the very one we know: the alert's own by its uid, others by having been seen before.

    None where no uid is known.
    """
    about = alert.object
    named = about and (target.kind, target.namespace, target.name) == (about.kind, about.namespace, about.name)
    known = {alert.object_uid} if named and alert.object_uid else None
    known = known or memory.seen_before(alert, target.kind, target.namespace, target.name)
    return target.uid in known if known else None


def _ourselves(api: ClusterAPI) -> Identity | None:
    try:
        return api.whoami()
    except ClusterError:
        return None  # an API server older than 1.28 has no SelfSubjectReview


def _standing_in_the_way(goes: list[Target], rehearsal: list[Rehearsed]) -> str:
    for target, answer in zip(goes, rehearsal, strict=True):
        if not answer.passed:
            return storable(f"{target}: {answer.text}")
    return ""


def _nothing(found: Surroundings, mode: str) -> str:
    if found.role is None and not found.bindings:
        return GONE
    if mode == Revocation.Mode.CONTAIN:
        return "There is nothing to contain: the role has no rules." if found.role else "The role is gone already."
    return "No binding is chosen." if found.bindings else "There is nothing to unbind: no binding refers to the role."


def _changed_since(alert: Alert, newest: Revocation) -> bool:
    """Tell whether the role or a binding to it changed since the plan, as far as audit events tell."""
    about = alert.object
    later = AccessVersion.objects.filter(object__cluster=alert.cluster, source="event", at__gt=newest.planned_at)
    concerned = Q(object=about) | (Q(manifest__roleRef__name=about.name) if about else Q())
    # Below level Request our own rehearsal looks like a deletion.
    return later.filter(concerned).exclude(event__audit_id__startswith=AUDIT_ID).exists()


def _save(alert: Alert, mode: str, draft: Draft, begun: datetime) -> Revocation:
    planned = Revocation(
        alert=alert,
        mode=mode,
        planned_at=begun,
        state=State.PLANNED if draft.runnable else State.REFUSED,
        digest=targets.digest(alert, mode, draft.targets, [caution.text for caution in draft.cautions]),
        plan=msgspec.to_builtins(draft.targets),
        rehearsal=msgspec.to_builtins(draft.rehearsal),
        warnings=[{"text": storable(caution.text), "grave": caution.grave} for caution in draft.cautions],
        refusals=[{"text": storable(each.text), "alternative": each.alternative} for each in draft.refusals],
        effects=storable_json(draft.effects),
        error=draft.error,
    )
    with transaction.atomic():
        locked = Alert.objects.select_for_update().get(pk=alert.pk)
        newest = current(locked, mode)
        if newest and newest.is_active():
            return newest
        before = locked.revocations.filter(mode=mode, state__in=[State.PLANNED, State.REFUSED])
        before.update(state=State.STALE)
        planned.save()
        write_evidence(locked, planned)
    return planned
