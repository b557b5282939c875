"""The undo: what a revoke took away is put back from the stored manifests, where an account of its own may do that.

The role comes first, then its bindings. What was made under the same name since is never overwritten, and no binding is
put back to a role that is not the one it was for.
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.utils import timezone

from alerts.audit.visible import storable
from alerts.cluster.api import ClusterAPI
from alerts.cluster.errors import AlreadyExists, ClusterError, Forbidden, Invalid, NotFound, Refused, Unanswered
from alerts.cluster.kinds import ObjectReference
from alerts.cluster.manifests import restorable
from alerts.models import Activity, Alert, Restoration, Revocation, Step, Watch
from alerts.services import connection, watch
from alerts.services.revocation import targets
from alerts.services.revocation.attempt import UNDO
from alerts.services.revocation.consent import PERMISSION, RequestRefused
from alerts.services.revocation.targets import Manifest, Target

_LEASE = timedelta(seconds=60)
_PAUSE = timedelta(seconds=5)
_PATIENCE = timedelta(minutes=2)
# A creationTimestamp has whole seconds, and is by the cluster's clock.
_SAME_MOMENT = timedelta(seconds=5)
_TAKEN_BY_US = {"deleted", "emptied", "unlabelled", "by_hand"}
State = Restoration.State


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one object: `outcome` is restored, exists, changed, skipped, forbidden, refused or failed."""

    key: str
    outcome: str
    text: str
    uid: str = ""


def undoable(revocation: Revocation) -> bool:
    """Tell whether the revoke took something away that Rolecall can put back, and nobody did yet."""
    took = any(result["outcome"] in _TAKEN_BY_US for result in revocation.results)
    undone = revocation.restorations.filter(state__in=[State.RUNNING, State.DONE]).exists()
    if revocation.mode == Revocation.Mode.REMOVE:
        return False
    return revocation.is_finished() and took and revocation.alert.cluster.restorable and not undone


def undo(revocation: Revocation, *, by: User, reason: str) -> Restoration:
    """Ask for what a revoke took away to be put back; raises RequestRefused."""
    if not by.has_perm(PERMISSION):
        raise RequestRefused("You may not undo a revoke. Ask somebody in the group Responder.")
    if not reason.strip():
        raise RequestRefused("Say in a sentence why: the reason is kept with the action.")
    if not undoable(revocation):
        raise RequestRefused("There is nothing that Rolecall can put back.")
    try:
        with transaction.atomic():
            Alert.objects.select_for_update().get(pk=revocation.alert_id)
            asked = Restoration.objects.create(revocation=revocation, requested_by=by, reason=reason.strip())
            _record(asked, "undo_requested", f"asked to undo it: {asked.reason}")
    except IntegrityError:
        raise RequestRefused("It is being put back already.") from None
    return asked


def undos_due() -> list[int]:
    """Return the ids of the undos that should run now: just asked for, paused, or their worker fell silent."""
    waiting = Restoration.objects.filter(state=State.RUNNING, leased_until__lte=timezone.now())
    return list(waiting.values_list("pk", flat=True))


def put_back(restoration: Restoration) -> Restoration:
    """Put back what was asked for, each object once; does nothing where that is not due, or somebody else does it."""
    now = timezone.now()
    due = Restoration.objects.filter(pk=restoration.pk, state=State.RUNNING, leased_until__lte=now)
    if due.update(leased_until=now + _LEASE):
        claimed = Restoration.objects.select_related("revocation__alert__cluster", "revocation__alert__object").get(
            pk=restoration.pk
        )
        try:
            _unwatch(claimed)
            with connection.connect_restorer(claimed.revocation.alert.cluster) as api:
                _put_back_all(api, claimed)
            _conclude(claimed)
        except (connection.NotConnected, ClusterError) as problem:
            _interrupted(claimed, problem)
    return Restoration.objects.get(pk=restoration.pk)


def _put_back_all(api: ClusterAPI, claimed: Restoration) -> None:
    revocation = claimed.revocation
    results = msgspec.convert(claimed.results, list[Returned])
    taken = {result["key"] for result in revocation.results if result["outcome"] in _TAKEN_BY_US}
    goes = sorted((each for each in targets.of(revocation) if each.key in taken), key=lambda each: each.binding)
    for number, target in enumerate(goes):
        if number < len(results):
            continue
        if target.binding and not _for_its_role(api, claimed, results):
            text = "It would bind another role than before: the role it was for does not stand as it did."
            results.append(Returned(key=target.key, outcome="skipped", text=text))
        else:
            results.append(_put_back(api, claimed, target, f"{UNDO}{claimed.pk}-{number}"))
        claimed.results = msgspec.to_builtins(results)
        claimed.leased_until = timezone.now() + _LEASE
        claimed.save(update_fields=["results", "leased_until"])


def _for_its_role(api: ClusterAPI, claimed: Restoration, results: list[Returned]) -> bool:
    """Tell whether the role that the bindings refer to is the one they were for: put back by us, or never gone."""
    roles = [result for result in results if "Binding" not in result.key.partition("/")[0]]
    if roles:
        return all(result.outcome == "restored" for result in roles)
    about = claimed.revocation.alert.object
    if about is None or about.kind in targets.BINDING_KINDS:
        return True
    try:
        live = api.read(ObjectReference(about.kind, about.namespace, about.name))
    except NotFound:
        return False
    return claimed.revocation.alert.object_uid in {"", live["metadata"]["uid"]}


def _put_back(api: ClusterAPI, claimed: Restoration, target: Target, audit_id: str) -> Returned:
    try:
        live = _fill(api, target, audit_id) if target.merge else _create(api, claimed, target, audit_id)
    except (Forbidden, Refused, Invalid) as refusal:
        outcome = {Forbidden: "forbidden", Refused: "refused"}.get(type(refusal), "failed")
        return Returned(key=target.key, outcome=outcome, text=storable(str(refusal)))
    if isinstance(live, Returned):
        return live
    uid = live["metadata"]["uid"]
    text = "Its content is back." if target.merge else f"It exists again, with the new uid {uid}."
    return Returned(key=target.key, outcome="restored", text=text, uid=uid)


def _create(api: ClusterAPI, claimed: Restoration, target: Target, audit_id: str) -> Manifest | Returned:
    """Create the object, unless one of its name exists. Raises ClusterError."""
    manifest = restorable(target.content)
    try:
        return api.create(manifest, audit_id=audit_id)
    except (AlreadyExists, Unanswered) as unclear:
        try:
            live = api.read(target.reference)
        except NotFound:
            raise unclear from None
        if _made_by_us(live, manifest, since=claimed.requested_at):
            return live
        text = (
            f"Another object of its name exists (uid {live['metadata']['uid']}) and was not touched: compare the two."
        )
        return Returned(key=target.key, outcome="exists", text=text)


def _fill(api: ClusterAPI, target: Target, audit_id: str) -> Manifest | Returned:
    """Give a role back what was taken from it, if it is still that role and still without it. Raises ClusterError."""
    try:
        live = api.read(target.reference)
    except NotFound:
        return Returned(key=target.key, outcome="changed", text="It does not exist any more.")
    metadata, content = live["metadata"], target.content
    if metadata["uid"] != target.uid or not target.taken_from(live):
        return Returned(key=target.key, outcome="changed", text="It was changed since and was not touched.")
    labels = target.merge.get("metadata", {}).get("labels", {})
    merge: dict[str, Any] = (
        {"metadata": {"labels": {key: content["metadata"]["labels"][key] for key in labels}}}
        if labels
        else {"rules": content["rules"]}
    )
    return api.patch(
        target.reference, merge, uid=target.uid, resource_version=metadata["resourceVersion"], audit_id=audit_id
    )


def _made_by_us(live: Manifest, manifest: Manifest, *, since: datetime) -> bool:
    """Tell whether an object is the one that an earlier call of ours made, whose answer was lost."""
    made = datetime.fromisoformat(live["metadata"]["creationTimestamp"])
    return made >= since - _SAME_MOMENT and restorable(live) == manifest


def _unwatch(claimed: Restoration) -> None:
    """Stop watching for what is about to return."""
    keys = {target.key for target in targets.of(claimed.revocation)}
    for each in claimed.revocation.alert.watches.filter(condition=Watch.Condition.RETURNS, tripped_at=None):
        if "/".join((each.kind, each.namespace, each.name)) in keys:
            watch.end(each, by=claimed.requested_by)


def _interrupted(claimed: Restoration, problem: Exception) -> None:
    """Pause where waiting can help, or end with what was done."""
    now = timezone.now()
    claimed.error = storable(str(problem))
    if isinstance(problem, ClusterError) and problem.transient and now - claimed.requested_at < _PATIENCE:
        claimed.leased_until = now + _PAUSE
        claimed.save(update_fields=["error", "leased_until"])
        return
    _conclude(claimed)


def _conclude(claimed: Restoration) -> None:
    """Store the end, record it, and open the alert's step again where anything came back."""
    count = sum(result["outcome"] == "restored" for result in claimed.results)
    whole = bool(claimed.results) and count == len(claimed.results) and not claimed.error
    state = State.DONE if whole else State.PARTLY if count else State.FAILED
    with transaction.atomic():
        alert = Alert.objects.select_for_update().get(pk=claimed.revocation.alert_id)
        running = Restoration.objects.filter(pk=claimed.pk, state=State.RUNNING)
        if not running.update(state=state, finished_at=timezone.now(), error=claimed.error):
            return
        _record(claimed, f"undo_{state}", f"undo: {count} of {len(claimed.results)} objects are back")
        if count:
            summary = f"Undone: {count} of {len(claimed.results)} objects are back."
            alert.evidence = alert.evidence | {"revoke": {"summary": summary, "chips": [["high", "Undone"]]}}
            if alert.is_open():
                Step.objects.filter(alert=alert, key="revoke").update(outcome="")
        else:
            watch.start(alert, by=claimed.requested_by)
        alert.version += 1
        alert.save(update_fields=["evidence", "version"] if count else ["version"])


def _record(restoration: Restoration, kind: str, text: str) -> None:
    detail = {"revocation": restoration.revocation_id, "results": restoration.results}
    Activity.objects.record(kind, text, by=restoration.requested_by, alert=restoration.revocation.alert, detail=detail)
