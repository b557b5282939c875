"""Alerts on a cluster that is not heard, or cannot be asked."""

from typing import Any

from alerts.audit.visible import visible
from alerts.models import Revocation
from alerts.services.investigation import stand_in
from alerts.services.investigation.case import Case
from alerts.services.investigation.stand_in import Pairs

SILENT, UNASKED = 70, 60


def silent(case: Case) -> dict[str, Any]:
    """Return the fields of an alert on a stream that fell silent."""
    cluster = case.cluster
    canary = cluster.canaries.order_by("-sent_at").first()
    heard = cluster.canaries.filter(seen_at__isnull=False).order_by("-sent_at").first()
    silent = cluster.silent_since is not None
    story: Pairs = [
        ["strong", f"Audit events of {cluster.name} {'do not arrive' if silent else 'did not arrive'}"],
        ["", f" since {stand_in.utc(case.alert.happened_at)}: what happens there is not seen."]
        if silent
        else [
            "",
            f" from {stand_in.utc(case.alert.happened_at)} on. They do again; what happened meanwhile was not seen.",
        ],
    ]
    creator = stand_in.creator(
        "Silent still." if silent else "The stream is back.",
        chips=[["high", "Silent"]] if silent else [["good", "Back"]],
        facts=[
            ["Last event", stand_in.when(cluster.last_event_at)],
            ["Last batch", stand_in.when(cluster.last_batch_at)],
            ["Last test request", stand_in.when(canary.sent_at if canary else None)],
            ["Last one whose event came", stand_in.when(heard.sent_at if heard else None)],
            ["Why none can be sent", visible(cluster.canary_error) or "nothing stands in the way"],
        ],
        todo=[
            "Look at the API server’s log for “Error in audit plugin 'webhook'”.",
            "Compare --audit-policy-file and --audit-webhook-config-file with what was set up: were they changed?",
            "Check that the API server reaches Rolecall: network policies, certificates, proxies, the hook’s token.",
            "When it is back, look at the unaudited changes on the cluster’s page: they tell what was missed.",
        ],
    )
    return stand_in.fields(SILENT, "a cluster that is not seen can be changed unseen", story, creator)


def out_of_reach(case: Case) -> dict[str, Any]:
    """Return the fields of an alert on a cluster that refuses to be asked."""
    cluster, since = case.cluster, stand_in.utc(case.alert.happened_at)
    unasked = cluster.unasked_since is not None
    planned = Revocation.objects.filter(alert__cluster=cluster).exclude(effects__ourselves="").order_by("-pk")
    account = next((each.effects.get("ourselves") for each in planned[:1]), "")
    what = "list the roles and bindings of" if unasked and not cluster.canary_error else "ask"
    story: Pairs = [
        ["strong", f"Rolecall {'cannot' if unasked else 'could not'} {what} {cluster.name}"],
        ["", f" {'since' if unasked else 'from'} {since}"],
        ["", ", so nothing proves that its audit events are all there." if unasked else " on. It can again."],
    ]
    creator = stand_in.creator(
        "Out of reach still." if unasked else "It can be asked again.",
        chips=[["high", "Out of reach"]] if unasked else [["good", "Back"]],
        facts=[
            ["Rolecall’s account there", visible(account or "not known: no revoke was ever planned there")],
            ["To a test request", visible(cluster.canary_error) or "it answers"],
            ["To a listing", visible(cluster.inventory_error) or "it answers"],
            ["Roles last listed", stand_in.when(cluster.inventory_at)],
            ["Last event", stand_in.when(cluster.last_event_at)],
        ],
        todo=[
            "Look whether Rolecall’s account, its bindings or its token were deleted or changed, and by whom.",
            "Check that the API server can be reached from here: its address, certificate and network policies.",
            "Give Rolecall a token again, with the command below; then look at the cluster’s unaudited changes.",
        ],
        command=f"manage.py add_cluster {cluster.name} --api-address {cluster.api_address} --api-token-file TOKEN",
    )
    return stand_in.fields(UNASKED, "a cluster that cannot be asked can be changed unseen", story, creator)
