"""What nobody needs to see for a while: muted alerts are kept and counted, and stay out of the queue.

A mute works on what opens while it runs and on what is open when it begins. What it muted stays muted when it ends.
Critical alerts are muted only by a mute that names one actor and one object, and says so.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Self

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from alerts.audit import pattern
from alerts.audit.visible import visible
from alerts.lifecycle import Status, Verdict
from alerts.models import Activity, Alert, Cluster, Mute
from alerts.models.mute import LONGEST

PREVIEWED = timedelta(days=30)
# How many open alerts are muted while somebody waits; the rest is muted in the background.
AT_ONCE = 100
_EXAMPLES = 10
_LONGEST_PATTERN = 1000


class MuteRefused(Exception):
    """A mute that may not be; its text is the sentence people see."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which alerts a mute fits. What is empty fits everything."""

    cluster: Cluster | None = None
    detection: str = ""
    actor: str = ""
    object: str = ""

    @classmethod
    def of(cls, subject: Alert | Mute) -> Self:
        """Return the scope of a mute, or the narrowest that fits an alert, as people see its names."""
        shown = pattern.exactly if isinstance(subject, Alert) else visible
        return cls(subject.cluster, subject.detection, shown(subject.actor), shown(str(subject.object or "")))

    @property
    def exact(self) -> bool:
        """Whether it names one actor and one object of one cluster."""
        return self.cluster is not None and pattern.is_exact(self.actor) and pattern.is_exact(self.object)

    def fits(self, alert: Alert) -> bool:
        """Tell whether an alert is of this scope, however grave it is."""
        return (
            (self.cluster is None or self.cluster.pk == alert.cluster_id)
            and self.detection in ("", alert.detection)
            and (not self.actor or pattern.matches(self.actor, alert.actor, within=pattern.NAME_PARTS))
            and (not self.object or pattern.matches(self.object, str(alert.object or "")))
        )

    def among(self, alerts: QuerySet[Alert]) -> Iterator[Alert]:
        """Yield those of the alerts that fit."""
        if self.cluster is not None:
            alerts = alerts.filter(cluster=self.cluster)
        if self.detection:
            alerts = alerts.filter(detection=self.detection)
        fields = ("title", "detection", "actor", "severity", "status", "verdict", "cluster", "object", "opened_at")
        others = ("assignee", "muted_by", "object__kind", "object__namespace", "object__name")
        found = alerts.select_related("object").only(*fields, *others)
        return (alert for alert in found.iterator() if self.fits(alert))


@dataclass(slots=True)
class Preview:
    """What a mute would have hidden of the alerts of the last days, and how many open ones of any age it hides now."""

    days: int = PREVIEWED.days
    hidden: int = 0
    malicious: int = 0
    open: int = 0
    critical: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)


def preview(scope: Scope, *, by: User, covers_critical: bool = False) -> tuple[Preview, list[Alert]]:
    """Return what a mute of that scope by somebody would have hidden, and the newest examples.

    `critical` counts what fits and would have stayed visible, or for `covers_critical` what would not.
    """
    found = Preview()
    examples: list[Alert] = []
    since = timezone.now() - PREVIEWED
    concerned = Alert.objects.filter(Q(opened_at__gte=since) | _waiting(by)).order_by("-opened_at", "-pk")
    for alert in scope.among(concerned):
        critical = alert.severity == Alert.Severity.CRITICAL
        found.critical += critical
        if critical and not covers_critical:
            continue
        if alert.opened_at >= since:
            found.hidden += 1
            found.malicious += alert.verdict in {Verdict.MALICIOUS, Verdict.POLICY_VIOLATION}
        found.open += alert.is_open() and alert.muted_by_id is None and alert.assignee_id in (None, by.pk)
        if len(examples) < _EXAMPLES:
            examples.append(alert)
    return found, examples


def begin(
    scope: Scope, *, reason: str, days: int, covers_critical: bool, by: User, asked_from: Alert | None = None
) -> Mute:
    """Mute what fits for some days, and the first AT_ONCE alerts of those that are open; `apply` mutes the others.

    Raises MuteRefused without a reason, for longer than 90 days, for everything, for Critical alerts of more than one
    actor and object, and where the alert that somebody came from is Critical and they did not confirm that it goes.
    """
    _check(scope, reason, days)
    if covers_critical and not scope.exact:
        raise MuteRefused(
            "Critical alerts are muted only where the mute names one cluster, actor and object, without *."
        )
    grave = asked_from is not None and asked_from.severity == Alert.Severity.CRITICAL and scope.fits(asked_from)
    if grave and not covers_critical:
        raise MuteRefused(
            "This alert is Critical and would stay where it is. To hide it, name its exact cluster, actor and object, "
            "and confirm “Hide Critical alerts too”; or close it."
        )
    now = timezone.now()
    shown, _ = preview(scope, by=by, covers_critical=covers_critical)
    with transaction.atomic():
        mute = Mute.objects.create(
            cluster=scope.cluster,
            detection=scope.detection,
            actor=scope.actor,
            object=scope.object,
            covers_critical=covers_critical,
            reason=reason.strip(),
            created_at=now,
            created_by=by,
            expires_at=now + timedelta(days=days),
            preview=shown.as_json(),
        )
        summary = f"muted {mute} until {mute.expires_at:%Y-%m-%d}: {mute.reason}"
        detail = {"mute": mute.pk, "covers_critical": covers_critical, "preview": mute.preview}
        Activity.objects.record("muted", summary, by=by, cluster=scope.cluster, detail=detail)
    apply(mute, limit=AT_ONCE)
    return mute


def _check(scope: Scope, reason: str, days: int) -> None:
    patterns = (scope.actor, scope.object)
    if not any((scope.detection, *(each.strip("* ") for each in patterns))):
        raise MuteRefused("Name a detection, an actor or an object: a mute of everything would hide an attack.")
    if any(len(each) > _LONGEST_PATTERN for each in patterns):
        raise MuteRefused(f"An actor or an object has at most {_LONGEST_PATTERN:,} characters here.")
    if not reason.strip():
        raise MuteRefused("Say in a sentence why nobody needs to see these alerts.")
    if not 1 <= days <= LONGEST.days:
        raise MuteRefused(f"A mute lasts between 1 and {LONGEST.days} days.")


def _waiting(by: User) -> Q:
    """Return the condition on the alerts that a mute by somebody hides as it begins: open, and nobody else's."""
    return ~Q(status=Status.CLOSED) & (Q(assignee=None) | Q(assignee=by)) & Q(muted_by=None)


def apply(mute: Mute, *, limit: int | None = None) -> int:
    """Mute the open alerts that fit and nobody else works on, at most so many; return how many they were.

    Done twice it comes to the same. When all are muted, the mute counts as applied.
    """
    waiting = Alert.objects.filter(_waiting(mute.created_by)).exclude(evidence_at=None)
    fitting = [alert.pk for alert in Scope.of(mute).among(waiting) if hides(mute, alert)]
    for pk in fitting[:limit]:
        with transaction.atomic():
            alert = Alert.objects.select_for_update(of=("self",)).select_related("object").get(pk=pk)
            if alert.muted_by_id is None and alert.is_open() and hides(mute, alert):
                _mute(alert, mute, by=mute.created_by)
    if limit is None or len(fitting) <= limit:
        Mute.objects.filter(pk=mute.pk).update(applied=True)
    return len(fitting[:limit])


def unapplied() -> list[int]:
    """Return the keys of the mutes that run and have not muted all that was open."""
    return list(Mute.objects.running().filter(applied=False).values_list("pk", flat=True))


def hides(mute: Mute, alert: Alert) -> bool:
    """Tell whether a mute hides an alert, as grave as it is."""
    scope = Scope.of(mute)
    grave = alert.severity == Alert.Severity.CRITICAL
    return scope.fits(alert) and (not grave or (mute.covers_critical and scope.exact))


def consider(alert: Alert, *, first: bool) -> None:
    """Mute an alert whose severity just became known for the first time, or lift a mute that it has outgrown.

    The alert's row must be locked; the caller saves `muted_by`.
    """
    if alert.muted_by is not None:
        if not hides(alert.muted_by, alert):
            Activity.objects.record("unmuted", "lifted the mute: it is Critical now", by=None, alert=alert)
            alert.muted_by = None
        return
    if not first or alert.assignee_id is not None or alert.status != Status.NEW:
        return
    running = Mute.objects.running().filter(Q(cluster=None) | Q(cluster=alert.cluster_id))
    mute = next((each for each in running.select_related("cluster") if hides(each, alert)), None)
    if mute is not None:
        _mute(alert, mute, by=None)


def _mute(alert: Alert, mute: Mute, *, by: User | None) -> None:
    alert.muted_by = mute
    alert.save(update_fields=["muted_by"])
    detail = {"mute": mute.pk, "reason": mute.reason}
    Activity.objects.record("muted", f"muted it until {mute.expires_at:%Y-%m-%d}", by=by, alert=alert, detail=detail)


def end(mute: Mute, *, by: User, bring_back: bool = False) -> int:
    """End a mute early, and on wish bring its open alerts back to the queue; return how many those were.

    A mute that is over stays as it is, but its alerts can still be brought back.
    """
    with transaction.atomic():
        # An alert that comes under the mute just now refers to its key, and is held by whoever has it do so.
        fresh = Mute.objects.select_for_update(of=("self",), no_key=True).get(pk=mute.pk)
        if fresh.is_running():
            fresh.ended_at, fresh.ended_by = timezone.now(), by
            fresh.save(update_fields=["ended_at", "ended_by"])
            Activity.objects.record("unmuted", f"ended the mute of {fresh}", by=by, cluster=fresh.cluster)
        if not bring_back:
            return 0
        returning = list(Alert.objects.open().select_for_update(of=("self",)).filter(muted_by=fresh))
        for alert in returning:
            alert.muted_by = None
            alert.save(update_fields=["muted_by"])
            Activity.objects.record("unmuted", "brought it back to the queue", by=by, alert=alert)
        return len(returning)
