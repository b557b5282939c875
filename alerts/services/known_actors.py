"""Known actors: written by administrators, recognised when an alert is investigated, and counted by their alerts."""

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Count, Max, QuerySet

from alerts.models import Activity, Alert, AuditEvent, Cluster, KnownActor


def listed() -> QuerySet[KnownActor]:
    """Return all rules, each with how many alerts it `matched` and when the `latest` of those happened."""
    counted = KnownActor.objects.annotate(matched=Count("alerts"), latest=Max("alerts__happened_at"))
    return counted.select_related("cluster", "created_by")


def recognise(cluster: Cluster, row: AuditEvent) -> KnownActor | None:
    """Return the known actor that made a request, or None. Who impersonated somebody is not at its daily work."""
    if row.impersonated:
        return None
    client, addresses = row.user_agent or "", row.source_ips or ()
    rules = cluster.known_actors.filter(enabled=True).order_by("pk")
    fitting = (each for each in rules if each.rule.fits(username=row.username, client=client, addresses=addresses))
    return next(fitting, None)


def save(known: KnownActor, *, by: User) -> None:
    """Keep a new or changed rule, and have the open alerts weighed again that it may concern."""
    verb = "changed" if known.pk else "added"
    with transaction.atomic():
        known.save()
        _record(known, verb, by)


def switch(known: KnownActor, *, enabled: bool, by: User) -> None:
    """Switch a rule on or off; what it matched before stays counted. Twice is as once."""
    with transaction.atomic():
        fresh = KnownActor.objects.select_for_update(of=("self",)).select_related("cluster").get(pk=known.pk)
        if fresh.enabled != enabled:
            fresh.enabled = enabled
            fresh.save(update_fields=["enabled"])
            _record(fresh, "switched on" if enabled else "switched off", by)


def _record(known: KnownActor, verb: str, by: User) -> None:
    detail = {"known_actor": known.pk, "username": known.username, "client": known.client, "networks": known.networks}
    summary = f"{verb} the known actor {known.name}: {known.username}"
    Activity.objects.record("known_actor", summary, by=by, cluster=known.cluster, detail=detail)
    Alert.objects.open().filter(cluster=known.cluster).exclude(evidence_at=None).update(evidence_due=True)
