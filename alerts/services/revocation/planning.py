"""The plan: what goes, pinned to the very objects, rehearsed on the cluster, with all there is to know before a run."""

from datetime import datetime
from typing import Any

import msgspec
from django.db import transaction
from django.utils import timezone

from alerts import rbac
from alerts.audit.redaction import storable_json
from alerts.audit.visible import storable
from alerts.cluster.api import ClusterAPI, Identity
from alerts.cluster.errors import ClusterError
from alerts.models import AccessObject, Alert, Revocation
from alerts.services import connection
from alerts.services.revocation import memory, targets, use
from alerts.services.revocation.additions import additions
from alerts.services.revocation.advice import advise
from alerts.services.revocation.cautions import Caution, cautions
from alerts.services.revocation.drift import drift
from alerts.services.revocation.freshness import current, plannable
from alerts.services.revocation.losses import Change
from alerts.services.revocation.own_requests import rehearsal_names
from alerts.services.revocation.protection import Refusal, protection, refusals, shipped
from alerts.services.revocation.rehearsal import Rehearsed, rehearse
from alerts.services.revocation.summary import write_evidence
from alerts.services.revocation.targets import Choice, Surroundings, Target

READ_ONLY = "Rolecall may read this cluster and not change it. An administrator can allow it on the cluster’s page."
State = Revocation.State
# pkg/registry/rbac/clusterrole/policybased: whatever an update changes, its rules are checked for escalation.
NOT_HELD = (
    " Kubernetes lets nobody change a role whose rules they do not hold, not even its labels: use the commands under "
    "“The same by hand”, or empty the rules instead."
)
AS_BEFORE = Choice()
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


def plan(alert: Alert, mode: str = Revocation.Mode.REVOKE, *, choice: Choice = AS_BEFORE) -> Revocation:
    """Read the cluster, rehearse, and store a new plan; earlier plans of that mode become stale.

    A plan that comes out as the one before renews that one. What is not chosen stays as it was for the plan
    before. What the cluster refuses, or a cluster that cannot be reached, becomes the plan's error,
    with what we remember of the objects. While a revoke of the alert is under way, that one is returned.
    Raises NothingToRevoke.
    """
    if alert.object is None or not plannable(alert):
        raise NothingToRevoke("Nothing was made that could be revoked.")
    newest = current(alert, mode)
    if newest and newest.is_active():
        return newest
    begun = timezone.now()
    return save(alert, mode, draft(alert, mode, _completed(choice, newest)), begun)


def draft(alert: Alert, mode: str, choice: Choice) -> Draft:
    """Return what a plan made now comes to; nothing is stored."""
    about = alert.object
    if about is None:
        raise NothingToRevoke("Nothing was made that could be revoked.")
    try:
        with connection.connect(alert.cluster) as api:
            return _live(api, alert, about, mode, choice)
    except (connection.NotConnected, ClusterError, rbac.InvalidRules) as problem:
        return _from_memory(alert, mode, choice, str(problem))


def chosen(revocation: Revocation | None) -> Choice:
    """Return what somebody chose about a plan."""
    return msgspec.convert(revocation.effects.get("choice", {}), Choice) if revocation else AS_BEFORE


def _completed(choice: Choice, newest: Revocation | None) -> Choice:
    before = msgspec.structs.asdict(chosen(newest))
    given = {field: value for field, value in msgspec.structs.asdict(choice).items() if value is not None}
    return Choice(**(before | given))


def _live(api: ClusterAPI, alert: Alert, about: AccessObject, mode: str, choice: Choice) -> Draft:
    found = targets.survey(api, about)
    goes = _goes(found, mode, choice)
    change, myself = Change(found, goes), ourselves(api)
    depended = use.dependence(alert, change)
    effects = _effects(alert, found, goes, choice) | {
        "advice": msgspec.to_builtins(advise(found)),
        "feeds": [f"{ref.kind}/{ref.namespace}/{ref.name}" for ref in change.feeds()],
        "added": msgspec.to_builtins(additions(found, api.version())) if _ships(found) else [],
        "labels": list(targets.feeding_labels(found)),
        "losses": msgspec.to_builtins(change.losses()),
        "use": msgspec.to_builtins(depended.uses),
        "unread": depended.unread,
        "hours": use.HOURS,
        "gone": found.role is None and not found.bindings,
        "ourselves": myself.username if myself else "",
    }
    made = Draft(targets=goes, effects=effects, refusals=refusals(mode, found, goes))
    if not alert.cluster.revocable:
        made.error = READ_ONLY
    elif goes and not made.refusals:
        made.rehearsal = list(rehearse(api, goes, name=rehearsal_names(alert.cluster, by=effects["ourselves"])))
        made.error = standing_in_the_way(goes, made.rehearsal)
    made.cautions = cautions(alert, change, made.rehearsal, myself)
    if not goes:
        made.error = _nothing(found, mode)
    return made


def _from_memory(alert: Alert, mode: str, choice: Choice, problem: str) -> Draft:
    found = memory.remembered(alert)
    goes = _goes(found, mode, choice)
    gone = found.role is None and not found.bindings
    effects = _effects(alert, found, goes, choice) | {"remembered": True, "gone": gone}
    error = f"As far as the audit events tell, it is gone already. {problem}" if gone else problem
    return Draft(targets=goes, effects=effects, error=storable(error))


def _ships(found: Surroundings) -> bool:
    return found.role is not None and shipped(found.role)


def _goes(found: Surroundings, mode: str, choice: Choice) -> list[Target]:
    bindings = _unprotected(found) if choice.bindings is None else choice.bindings
    return targets.choose(
        found, mode, bindings, role_first=bool(choice.role_first), labels_only=bool(choice.labels_only)
    )


def _unprotected(found: Surroundings) -> set[str]:
    return {Target.of(binding).key for binding in found.bindings if not protection(binding)}


def _effects(alert: Alert, found: Surroundings, goes: list[Target], choice: Choice) -> dict[str, Any]:
    """Return every binding there is, chosen or not, and which objects are those that we saw before."""
    keys = {target.key for target in goes}
    return {
        "bindings": [
            {"key": each.key, "text": str(each), "chosen": each.key in keys, "protected": protection(each.content)}
            for each in map(Target.of, found.bindings)
        ],
        "role": str(Target.of(found.role)) if found.role else "",
        "choice": msgspec.to_builtins(choice),
        "role_first": len(goes) > 1 and not goes[0].binding,
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


def ourselves(api: ClusterAPI) -> Identity | None:
    """Return who our account is on the cluster; None where the cluster does not say."""
    try:
        return api.whoami()
    except ClusterError:
        return None  # an API server older than 1.28 has no SelfSubjectReview


def standing_in_the_way(goes: list[Target], rehearsal: list[Rehearsed]) -> str:
    """Return the first answer of a rehearsal that forbids the run, as a sentence; "" where none does."""
    for target, answer in zip(goes, rehearsal, strict=True):
        if not answer.passed:
            more = NOT_HELD if target.action == "unlabel" and answer.outcome == "refused" else ""
            return storable(f"{target}: {answer.text}{more}")
    return ""


def _nothing(found: Surroundings, mode: str) -> str:
    if found.role is None and not found.bindings:
        return GONE
    if mode == Revocation.Mode.CONTAIN:
        return "There is nothing to contain: the role gives nothing." if found.role else "The role is gone already."
    return "No binding is chosen." if found.bindings else "There is nothing to unbind: no binding refers to the role."


def digest(alert: Alert, mode: str, made: Draft) -> str:
    """Return the hash of what a person agrees to."""
    return targets.digest(alert, mode, made.targets, [caution.text for caution in made.cautions])


def save(alert: Alert, mode: str, made: Draft, begun: datetime) -> Revocation:
    """Store a plan that was begun at that time; earlier ones of its mode become stale, and one alike is renewed.

    While one is under way, that one is returned.
    """
    planned = Revocation(
        alert=alert,
        mode=mode,
        planned_at=begun,
        state=State.PLANNED if made.runnable else State.REFUSED,
        digest=digest(alert, mode, made),
        plan=msgspec.to_builtins(made.targets),
        rehearsal=msgspec.to_builtins(made.rehearsal),
        warnings=[{"text": storable(caution.text), "grave": caution.grave} for caution in made.cautions],
        refusals=[{"text": storable(each.text), "alternative": each.alternative} for each in made.refusals],
        effects=storable_json(made.effects),
        error=made.error,
    )
    with transaction.atomic():
        locked = Alert.objects.select_for_update().get(pk=alert.pk)
        newest = current(locked, mode)
        if newest and newest.is_active():
            return newest
        if newest and (newest.state, newest.digest) == (planned.state, planned.digest):
            planned.pk, planned.effects["drift"] = newest.pk, newest.effects.get("drift", [])
        else:
            planned.effects["drift"] = drift(newest, made.targets)
            before = locked.revocations.filter(mode=mode, state__in=[State.PLANNED, State.REFUSED])
            before.update(state=State.STALE)
        planned.save()
        write_evidence(locked, planned)
    return planned
