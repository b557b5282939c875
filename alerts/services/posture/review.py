"""From looks to rows: findings open, are seen again, and close by themselves once the cluster shows them no more."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Min, QuerySet
from django.utils import timezone

from alerts import rbac
from alerts.audit import redaction
from alerts.audit.visible import storable
from alerts.models import Activity, Alert, Cluster, PostureFinding, PostureReview
from alerts.services import inventory
from alerts.services.posture import live, powers, recording
from alerts.services.posture.look import Found, Look

# A look holds this long: many alerts are investigated at once.
HOLDS = timedelta(seconds=60)
# So many alerts' findings are looked at again in one review, those first that waited longest.
_ALERTS = 50
_SILENCE_DAYS = 30
_UNSEEN = ["The cluster’s posture was not looked at yet."]


def review(cluster: Cluster, *, access: rbac.Access | None = None) -> None:
    """Look at the whole posture of a cluster and keep what was found; a look that just was is not repeated.

    `access` is the cluster as it stands, where that is at hand. The network is used outside of any transaction.
    """
    started = timezone.now()
    newest = cluster.posture_reviews.first()
    if newest is not None and started - newest.at < HOLDS:
        return
    now = access or inventory.access(cluster)
    recorded = recording.look(recording.sample(cluster))
    days = cluster.posture_reviews.filter(day__gte=started.date() - timedelta(days=_SILENCE_DAYS))
    silence = recording.look_for_silence([*days.values_list("recorded", flat=True), recorded.recorded])
    looks = [powers.look(now), *live.look(cluster), recorded, silence]
    of_alerts = [(alert, _look_again(now, alert)) for alert in _waiting(cluster)]
    with transaction.atomic():
        day = _locked(cluster, started)
        if day.at > started:
            return
        gaps = [*_gaps(cluster), *(gap for each in looks for gap in each.gaps)]
        day.at, day.gaps = started, [redaction.text(gap) for gap in gaps]
        _remember(day, recorded)
        gone = [
            *settle(cluster, looks),
            *(each for alert, look in of_alerts for each in settle(cluster, [look], alert)),
        ]
        if gone:
            count = "1 finding is" if len(gone) == 1 else f"{len(gone)} findings are"
            detail = {"findings": [each.pk for each in gone]}
            Activity.objects.record(
                "posture", f"{count} fixed on {cluster.name}", by=None, cluster=cluster, detail=detail
            )
        tally(day)


def record(alert: Alert, look: Look, *, observed: Look) -> None:
    """Keep what an investigation found about its role, and about the audit policy by its events.

    Belongs into the transaction that saves the evidence.
    """
    day = _locked(alert.cluster, timezone.now())
    settle(alert.cluster, [look], alert)
    settle(alert.cluster, [observed])
    tally(day)


def settle(cluster: Cluster, looks: Sequence[Look], alert: Alert | None = None) -> list[PostureFinding]:
    """Open and close the findings of the cluster, or of one alert, as the looks say; return those that closed."""
    now = timezone.now()
    rows = PostureFinding.objects.filter(cluster=cluster, alert=alert)
    standing = {row.digest: row for row in rows.standing()}
    found = {_digest(each.kind, each.key, alert): each for look in looks for each in look.found}
    _see_again(standing, found, now)
    new = {digest: each for digest, each in found.items() if digest not in standing}
    over = _over_since(rows, new)
    PostureFinding.objects.bulk_create(
        (_opened(cluster, alert, digest, each, now) for digest, each in new.items() if digest not in over),
        ignore_conflicts=True,
    )
    judged = {kind for look in looks for kind in look.judged}
    cleared = {_digest(kind, key, alert) for look in looks for kind, key in look.cleared}
    gone = [row for key, row in standing.items() if key not in found and (row.kind in judged or key in cleared)]
    PostureFinding.objects.filter(pk__in=[row.pk for row in gone]).update(closed_at=now)
    return gone


def _see_again(standing: dict[str, PostureFinding], found: dict[str, Found], now: datetime) -> None:
    seen = [row for digest, row in standing.items() if digest in found]
    for row in seen:
        each = found[row.digest]
        row.level, row.title, row.detail, row.last_seen = each.level, storable(each.title), storable(each.detail), now
    PostureFinding.objects.bulk_update(seen, ["level", "title", "detail", "last_seen"], batch_size=200)


def _over_since(rows: QuerySet[PostureFinding], new: dict[str, Found]) -> set[str]:
    """Return which of the new findings were so in the past only: they were closed since."""
    dated = {digest: each.at for digest, each in new.items() if each.at is not None}
    closed = rows.filter(digest__in=list(dated), closed_at__isnull=False).values_list("digest", "closed_at")
    return {digest for digest, at in closed if at is not None and at >= dated[digest]}


def _opened(cluster: Cluster, alert: Alert | None, digest: str, found: Found, now: datetime) -> PostureFinding:
    return PostureFinding(
        cluster=cluster,
        alert=alert,
        digest=digest,
        kind=found.kind,
        level=found.level,
        title=storable(found.title),
        detail=storable(found.detail),
        first_seen=now,
        last_seen=now,
    )


def _digest(kind: str, key: str, alert: Alert | None) -> str:
    content = json.dumps([kind, key, alert.pk if alert else None])
    return hashlib.sha256(content.encode()).hexdigest()


def _locked(cluster: Cluster, at: datetime) -> PostureReview:
    """Return the row of a day, locked: two looks at once would open a finding twice."""
    before = cluster.posture_reviews.first()
    # A day on which nobody looked yet knows what the day before did.
    known = {"at": before.at, "gaps": before.gaps} if before else {"at": cluster.created_at, "gaps": _UNSEEN}
    PostureReview.objects.get_or_create(cluster=cluster, day=at.date(), defaults=known)
    return PostureReview.objects.select_for_update().get(cluster=cluster, day=at.date())


def hold(cluster: Cluster) -> None:
    """Keep others from opening and closing findings of a cluster until the transaction is over."""
    _locked(cluster, timezone.now())


def tally(day: PostureReview) -> None:
    """Count the cluster's own findings that stand by now, and save the day; those of alerts come and go with them."""
    rows = PostureFinding.objects.filter(cluster_id=day.cluster_id, alert=None)
    day.open_count, day.accepted_count = rows.open().count(), rows.accepted().count()
    day.save()


def tally_today(cluster: Cluster) -> None:
    """Count again after somebody decided something."""
    tally(_locked(cluster, timezone.now()))


def _remember(day: PostureReview, look: Look) -> None:
    for what, levels in look.recorded.items():
        day.recorded[what] = sorted({*day.recorded.get(what, ()), *levels})


def _gaps(cluster: Cluster) -> list[str]:
    if cluster.inventory_at is None:
        return ["The cluster’s roles were never listed: of roles and bindings only what events showed is known."]
    if cluster.inventory_error:
        return [
            f"Its roles are as they were listed at {cluster.inventory_at:%Y-%m-%d %H:%M} UTC, and as events showed."
        ]
    return []


def _waiting(cluster: Cluster) -> Iterable[Alert]:
    """Return the alerts whose own findings still stand, those first that were not looked at for longest."""
    standing = Alert.objects.filter(cluster=cluster, posture_findings__closed_at=None, posture_findings__isnull=False)
    ordered = standing.select_related("object").annotate(looked_at=Min("posture_findings__last_seen"))
    return ordered.order_by("looked_at", "pk")[:_ALERTS]


def _look_again(access: rbac.Access, alert: Alert) -> Look:
    """Look at the findings of one alert again, by the role as it was last known."""
    role = alert.object
    if role is None:
        return powers.look_at_role(access, None, None, alert.actor)
    known = role.versions.filter(deletion=False, manifest__isnull=False)
    if alert.object_uid:
        known = known.filter(uid__in=[alert.object_uid, ""])
    newest = known.first()
    try:
        rules = rbac.parse(newest.manifest.get("rules")) if newest and newest.manifest else None
    except rbac.InvalidRules:
        rules = None
    return powers.look_at_role(access, rbac.RoleRef(role.kind, role.name, role.namespace), rules, alert.actor)
