"""Alerts on audit data that is damaged, or was refused."""

from typing import Any

from alerts.audit.visible import visible
from alerts.models import AuditEvent, Batch
from alerts.services import listing, refusal, webhook
from alerts.services.investigation import stand_in
from alerts.services.investigation.case import Case
from alerts.services.investigation.stand_in import Pairs

DAMAGED = 60
_SHOWN = 25


def damaged(case: Case) -> dict[str, Any]:
    """Return the fields of an alert on audit data that is damaged, or was refused."""
    alert = case.alert
    if refusal.told(alert).exists():
        return _refused(case)
    rows = list(alert.events.order_by("at", "pk")[: _SHOWN + 1])
    items = alert.damaged_items.order_by("pk").defer("body")
    aside = alert.quarantined_batches.order_by("pk").defer("body", "mentions")
    left = aside.filter(state=Batch.State.QUARANTINED).count()
    what = f"{aside.count()} batches could not be examined" if aside else f"{alert.events.count()} events are damaged"
    story: Pairs = [
        ["strong", alert.actor or "Nobody knows whose audit data this is"],
        ["", ": " if alert.actor else ". "],
        ["", f"{what}, and what they would tell about roles and bindings is incomplete."],
    ]
    creator = stand_in.creator(
        f"{what[:1].upper()}{what[1:]}.",
        facts=[
            ["Events", str(alert.events.count())],
            ["Damaged items", str(items.count())],
            ["Batches set aside", f"{aside.count()}, {left} of them still"],
        ],
        lines=[
            *([["", _row(row)] for row in rows[:_SHOWN]]),
            *([["", visible(f"item {each.position}: {each.reason}")] for each in items[:_SHOWN]]),
            *([["", visible(f"batch {each}: {each.error or 'examined since'}")] for each in aside[:_SHOWN]]),
        ],
        todo=[
            "Look at the objects named here as they are on the cluster now: the events do not show all of it.",
            "Ask the actor what made the request; an ordinary client sends none of these.",
            "Batches that were set aside can be examined again from the cluster’s page, once the cause is gone.",
        ],
    )
    return stand_in.fields(DAMAGED, "damaged audit data hides what was done", story, creator)


def _refused(case: Case) -> dict[str, Any]:
    cluster, told = case.cluster, refusal.told(case.alert)
    story: Pairs = [
        ["strong", case.alert.title],
        ["", f", and what the API server of {cluster.name} does not get rid of it gives up: nobody knows what it was."],
    ]
    readable = listing.listable().filter(pk=cluster.pk).exists()
    creator = stand_in.creator(
        "Nobody knows whose events are lost.",
        facts=[
            ["Noted", f"{told.count()} times, at most one in five minutes"],
            ["Roles last listed", stand_in.when(cluster.inventory_at)],
        ],
        lines=[["", visible(f"{stand_in.utc(each.at)} {each.summary}")] for each in told[:_SHOWN]],
        todo=[
            "The cluster’s roles and bindings are listed; look at what changed without an audit event since."
            if readable
            else "Rolecall may not list this cluster: look yourself, with the command below, at what was made since.",
            "Ask the API server’s own log for “Error in audit plugin 'webhook'”: it says how many events are lost.",
            f"Start the API server with {webhook.BATCH_MAX_SIZE}: then a batch holds few events, however large.",
            "Look for who sends long headers or addresses; the proxy or the API server’s own audit log shows them.",
        ],
        command="kubectl get clusterroles,clusterrolebindings,roles,rolebindings --all-namespaces "
        "--sort-by=.metadata.creationTimestamp",
    )
    return stand_in.fields(DAMAGED, "whatever is in a refused batch is not seen", story, creator)


def _row(row: AuditEvent) -> str:
    problem = (
        "cut or malformed" if row.incomplete else f"audit ID of {len(str(row.body.get('auditID', ''))):,} characters"
    )
    where = f"{row.namespace}/" if row.namespace else ""
    return visible(
        f"{stand_in.utc(row.at)} {row.verb or 'unknown verb'} {row.resource or 'unknown'} {where}{row.name}: {problem}"
    )
