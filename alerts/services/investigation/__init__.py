"""An alert's three questions and what follows from them, answered before they are asked.

`gather` computes the evidence outside of any transaction and saves it in a short one; gathered again, it comes to the
same. What is not known is called unknown, never empty.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from alerts import rbac
from alerts.audit import redaction
from alerts.models import Alert, Cluster, Stakeholder
from alerts.services import mentions, mutes, posture, remedies, watch
from alerts.services.investigation import creator, remedy, story, trail
from alerts.services.investigation.case import Case
from alerts.services.investigation.permissions import Permissions
from alerts.services.investigation.use import Use

# An alert whose actor never rests is not investigated without rest.
PAUSE = timedelta(minutes=1)
LONG_PAUSE = timedelta(minutes=15)
FRESH = timedelta(hours=1)
_NEW_AT_ONCE, _AGAIN_AT_ONCE = 50, 4
_RESPOND_WITHIN = {
    rbac.Severity.CRITICAL: timedelta(minutes=15),
    rbac.Severity.HIGH: timedelta(hours=1),
    rbac.Severity.MEDIUM: timedelta(hours=8),
    rbac.Severity.LOW: timedelta(days=3),
}


def gather(alert: Alert) -> None:
    """Gather the evidence of every step, the story and the score of an alert, and save them.

    Where the cluster cannot be asked, `evidence_error` says so, everything else is there, and the alert stays due.
    """
    # What happens from here on makes it due again.
    Alert.objects.filter(pk=alert.pk).update(evidence_due=False)
    try:
        alert = Alert.objects.select_related("cluster", "object").get(pk=alert.pk)
        case = Case(alert)
        gathered = _gathered(case)
        found = _policies(case)
    except Exception as error:
        problem = f"The evidence could not be gathered: {type(error).__name__}. It is tried again every minute."
        Alert.objects.filter(pk=alert.pk).update(evidence_due=True, evidence_error=problem, evidence_at=timezone.now())
        raise
    _save(case, gathered, *found)


def _policies(case: Case) -> tuple[posture.Look, posture.Look]:
    """Have the cluster's posture looked at, and return what its role and its events say of it."""
    posture.review(case.cluster, access=case.now)
    of_role = posture.look_at_role(case.now, case.ref, Permissions(case).rules, case.alert.actor)
    return of_role, posture.look_at_events([*case.since.events, *case.past.events])


def _gathered(case: Case) -> dict[str, Any]:
    """Return the fields of the alert as they follow from the case."""
    found = trail.alone(case)
    return _kept(case, found if found is not None else trail.over(case, _of_role(case)))


def _of_role(case: Case) -> dict[str, Any]:
    """Return the fields of an alert about a role that stands, or that somebody tried to make."""
    permissions, use = Permissions(case), Use(case)
    made = creator.evidence(case)
    evidence: dict[str, Any] = {
        "creator": made,
        "permissions": permissions.evidence(),
        "use": use.evidence(),
        "remedy": remedy.evidence(case, use),
    }
    return permissions.risk.as_json() | {
        "evidence": evidence,
        "known_actor": case.known_actor,
        "story": story.tell(case, made, permissions, use),
    }


def _kept(case: Case, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields as they may be kept."""
    told = {"tell": {"summary": " · ".join(Stakeholder.Group.labels), "chips": []}}
    return fields | {
        "evidence": redaction.manifest(fields["evidence"] | told),
        "story": redaction.manifest(fields["story"]),
        "factors": redaction.manifest(fields["factors"]),
        "evidence_error": redaction.text(case.problem),
    }


def _save(case: Case, gathered: dict[str, Any], of_role: posture.Look, observed: posture.Look) -> None:
    with transaction.atomic():
        fresh = Alert.objects.select_for_update().get(pk=case.alert.pk)
        case.history.hold(case.past.events, case.since.events, case.permitted)
        remedies.record(fresh, gathered["evidence"].get("remedy", {}).get("items", []))
        watch.cover(fresh)
        posture.record(fresh, of_role, observed=observed)
        later = {"watch": watch.evidence(fresh), "policies": redaction.manifest(posture.evidence(fresh))}
        gathered["evidence"] = fresh.evidence | gathered["evidence"] | later
        for field, value in gathered.items():
            setattr(fresh, field, value)
        mutes.consider(fresh, first=fresh.evidence_at is None)
        fresh.evidence_at = timezone.now()
        # Nobody can be late for what was over before we heard of it. What turns graver leaves less time from now on.
        if not fresh.historical:
            known_at = fresh.opened_at if fresh.respond_by is None else timezone.now()
            respond_by = known_at + _RESPOND_WITHIN[rbac.Severity(fresh.severity)]
            fresh.respond_by = min(fresh.respond_by or respond_by, respond_by)
        # What could not be asked is asked again.
        fields = [*gathered, "evidence_at", "respond_by", "muted_by"]
        if fresh.evidence_error:
            fresh.evidence_due = True
            fields.append("evidence_due")
        fresh.save(update_fields=fields)


def concerned(cluster: Cluster, mentioned: str) -> list[int]:
    """Return the keys of the open alerts to investigate again: a batch's mentions name their actor or their role.

    Those too that are due already: while the transaction holds them, nobody searches too early for the batch.
    """
    lines = frozenset(mentioned.split("\n"))
    open_ones = Alert.objects.open().filter(cluster=cluster)
    subjects = open_ones.values_list("pk", "actor", "object__kind", "object__namespace", "object__name")
    return [
        pk
        for pk, actor, kind, namespace, name in subjects
        if mentions.actor(actor) in lines or (kind and mentions.role(kind, namespace, name) in lines)
    ]


def mark_due(cluster: Cluster, keys: Sequence[int]) -> None:
    """Have alerts investigated again."""
    if keys:
        Alert.objects.filter(cluster=cluster, pk__in=keys, evidence_due=False).update(evidence_due=True)


def ask_again(alert: Alert) -> None:
    """Have an alert investigated again, whatever happened since."""
    Alert.objects.filter(pk=alert.pk).update(evidence_due=True)


def due() -> list[int]:
    """Return the keys of the alerts to investigate now: some that never were, and some of those that rested.

    Not all at once: events wait meanwhile. Of those that never were each actor's first come first, the latest ones
    among them: whoever brings about thousands keeps nobody else's waiting.
    """
    whose = Window(RowNumber(), partition_by=[F("cluster"), F("actor")], order_by="pk")
    waiting = Alert.objects.filter(evidence_at=None).annotate(turn=whose)
    never = waiting.order_by("turn", "-pk")[:_NEW_AT_ONCE]
    fresh, old = (each.order_by("evidence_at", "pk")[:_AGAIN_AT_ONCE] for each in _rested())
    return list(dict.fromkeys(pk for found in (never, fresh, old) for pk in found.values_list("pk", flat=True)))


def is_due(alert: Alert) -> bool:
    """Tell whether an alert is still to be investigated: what waited in the queue may be done already."""
    return alert.evidence_at is None or any(each.filter(pk=alert.pk).exists() for each in _rested())


def _rested() -> tuple[QuerySet[Alert], QuerySet[Alert]]:
    """Return the alerts of the last hour, and all, to which something happened and that were left alone for a while."""
    now, waiting = timezone.now(), Alert.objects.filter(evidence_due=True)
    fresh = waiting.filter(evidence_at__lt=now - PAUSE, happened_at__gte=now - FRESH)
    return fresh, waiting.filter(evidence_at__lt=now - LONG_PAUSE)
