"""The same by hand: the exact commands for somebody with rights of their own, and the check that they worked."""

from collections.abc import Iterator
from typing import Any

import msgspec
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from alerts.cluster import commands
from alerts.cluster.errors import ClusterError
from alerts.models import Alert, Revocation
from alerts.services import connection
from alerts.services.revocation import additions, conclusion, freshness, memory, targets
from alerts.services.revocation.consent import RequestRefused
from alerts.services.revocation.proof import Check, prove
from alerts.services.revocation.protection import shipped
from alerts.services.revocation.targets import Target

State = Revocation.State


def by_hand(revocation: Revocation) -> list[commands.Section]:
    """Return the commands that do what the plan does, with its preconditions, safe to paste whatever names hold.

    Of what Kubernetes ships only what somebody added is taken away.
    """
    goes = targets.of(revocation)
    pinned = [commands.Target(each.reference, each.uid, each.resource_version) for each in goes]
    if any(shipped(each.content) for each in goes):
        return list(_of_additions(revocation))
    if not pinned:
        return []
    if revocation.mode == Revocation.Mode.CONTAIN:
        return list(commands.contain(pinned[0], goes[0].merge))
    sections = list(commands.revoke(pinned))
    about = revocation.alert.object
    if revocation.effects.get("remembered") and about is not None and about.kind not in targets.BINDING_KINDS:
        # What we remember may be incomplete, so whoever runs this looks for bindings first.
        role = next((each.reference for each in goes if not each.binding), None)
        sections[:0] = [commands.find_bindings(role)] if role else []
    return sections


def _of_additions(revocation: Revocation) -> Iterator[commands.Section]:
    """Yield the commands that make a default role what Kubernetes ships; they need the rights to escalate and bind."""
    for each in additions.told(revocation.effects):
        if each.target is not None:
            pinned = commands.Target(each.target.reference, each.target.uid, each.target.resource_version)
            yield from commands.contain(pinned, each.target.merge)


def restore(revocation: Revocation) -> commands.Section:
    """Return the commands that bring back what went, the role first; they need the rights to escalate and to bind."""
    goes = sorted(targets.of(revocation), key=lambda target: target.binding)
    return commands.restore(target.content for target in goes if target.action == "delete")


def stored(revocation: Revocation) -> dict[str, Any]:
    """Return the manifests as they were stored before anything was done, as one List, the role first."""
    goes = sorted(targets.of(revocation), key=lambda target: target.binding)
    return {"apiVersion": "v1", "kind": "List", "items": [target.content for target in goes]}


class NotGone(RequestRefused):
    """Not everything is gone, or nothing proves it; the text says what."""


def confirm_by_hand(alert: Alert, *, by: User) -> Revocation:
    """Check that the alert's role and its bindings are gone, record that, and answer the step; changes no cluster.

    Asks the cluster where it can be read, else looks for the deletions in the audit events received since.
    Raises NotGone, and RequestRefused for somebody who may not triage or while a revoke is under way.
    """
    if not by.has_perm("alerts.triage_alert"):
        raise RequestRefused("You may not answer for this alert. Ask somebody in the group Analyst.")
    if not freshness.plannable(alert):
        raise RequestRefused("Nothing was made that could be revoked.")
    checked = _done_by_hand(alert, by)
    try:
        with connection.connect(alert.cluster) as api:
            checked.proof = prove(api, checked)
    except (connection.NotConnected, ClusterError):
        checked.proof = _proof_from_events(checked)
    checked.state, checked.error = conclusion.verdict(checked)
    with transaction.atomic():
        locked = Alert.objects.select_for_update().get(pk=alert.pk)
        if locked.revocations.active().exists():
            raise RequestRefused("A revoke is under way. Wait for its end.")
        if checked.state == State.DONE:
            checked.save()
            conclusion.finish(locked, checked)
            return checked
    raise NotGone(checked.error)


def _done_by_hand(alert: Alert, by: User) -> Revocation:
    """Return the revoke that somebody says was done by hand: what was planned last, or else all that we remember."""
    planned = alert.revocations.filter(mode=Revocation.Mode.REVOKE).exclude(plan=[]).order_by("-pk").first()
    goes = (
        targets.of(planned)
        if planned
        else targets.choose(memory.remembered(alert, deleted=True), Revocation.Mode.REVOKE)
    )
    now = timezone.now()
    return Revocation(
        alert=alert,
        digest=planned.digest if planned else targets.digest(alert, Revocation.Mode.REVOKE, goes, []),
        plan=msgspec.to_builtins(goes),
        effects=planned.effects if planned else {},
        reason="Done by hand",
        requested_by=by,
        requested_at=now,
        started_at=now,
        finished_at=now,
        results=[
            {"key": each.key, "outcome": "by_hand", "text": "Done by hand.", "ended": True, "audit_id": "", "at": ""}
            for each in goes
        ],
    )


def _proof_from_events(checked: Revocation) -> dict[str, Any]:
    """Return what the audit events since tell of the objects that were to go."""
    goes = targets.of(checked)
    keys = {target.key for target in goes}
    bindings = [Target.of(binding) for binding in memory.remembered(checked.alert).bindings]
    left = [
        Check(subject=str(each), text="It refers to the role, and no deletion of it was seen.", passed=False)
        for each in bindings
        if each.key not in keys
    ]
    objects = [_deletion(checked.alert, target) for target in goes]
    found = {"objects": objects, "holders": [], "bindings": left, "at": timezone.now().isoformat()}
    proof: dict[str, Any] = msgspec.to_builtins(found)
    return proof


def _deletion(alert: Alert, target: Target) -> Check:
    version = memory.newest(alert, target.kind, target.namespace, target.name)
    when = f"{version.at:%Y-%m-%d %H:%M:%S} UTC" if version else ""
    event = version.event if version else None
    if version is None or not version.deletion:
        text = "No audit event of its deletion was received yet."
        if event and event.verb == "delete":
            # At level Metadata nobody can tell a rehearsal, or an object that finalizers keep, from a deletion.
            text = f"A deletion was logged at {when}, but the audit policy hides whether it was a rehearsal."
        return Check(subject=str(target), text=text, passed=None)
    text = f"Deleted by {event.username} at {when}." if event else f"The listing of {when} did not hold it."
    return Check(subject=str(target), text=text, passed=True)
