"""What the audit policy does not record, as far as the requests at hand show: the levels seen, and what never was."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from alerts.audit.decode import decode
from alerts.audit.event import RBAC_GROUP, Event
from alerts.models import Batch, Cluster
from alerts.models.credential import CredentialLost
from alerts.services import inbox
from alerts.services.posture.look import Found, Kind, Look

_BODIES = frozenset({"Request", "RequestResponse"})
_SECRETS = "secrets"
# The newest batches that are looked at, and their bytes.
_BATCHES, _BYTES = 5, 8 * 1024 * 1024
# Of each kind of write: what is not known of it at level Metadata, and the level that records it.
_WANTED = {
    (RBAC_GROUP, ""): ("roles and bindings", "what they permit", "RequestResponse"),
    ("", "token"): ("token requests", "how long a token lives", "Request"),
    ("apps", ""): ("workloads", "whether they are privileged", "Request"),
    ("batch", ""): ("jobs", "what they run", "Request"),
    ("", "exec"): ("commands in pods", "which command", "Request"),
}
# What happens in every cluster all the time: where many requests were seen and none of these, the policy leaves it out.
EVERYDAY = (_SECRETS, "token requests", "workloads")
_ENOUGH_DAYS = 3
_NEVER = "never "
_ANYTHING = "anything"


def sample(cluster: Cluster) -> Iterator[Event]:
    """Yield the events of the newest examined batches."""
    newest = Batch.objects.filter(cluster=cluster, state=Batch.State.DONE).order_by("-pk")
    spent = 0
    for pk, size in newest.values_list("pk", "size")[:_BATCHES]:
        spent += size
        if spent > _BYTES:
            return
        batch = Batch.objects.only("body").filter(pk=pk).first()
        try:
            yield from decode(inbox.body(batch)).events if batch else ()
        except CredentialLost:
            continue


def look(events: Iterable[Event]) -> Look:
    """Judge the audit policy by requests: each kind by the newest of them, for the policy may have changed."""
    newest: dict[str, Event] = {}
    recorded: dict[str, set[str]] = {}
    for event in events:
        recorded.setdefault(_ANYTHING, set())
        for what in _things(event):
            recorded.setdefault(what, set()).add(event.level or "unknown")
            if what not in newest or _at(newest[what]) <= _at(event):
                newest[what] = event
    found = [each for what, event in newest.items() if (each := _gap(what, event))]
    gone = {(Kind.AUDIT, f"{_NEVER}{what}") for what in newest}
    gone |= {(Kind.AUDIT_SECRETS if what == _SECRETS else Kind.AUDIT, what) for what in newest}
    cleared = frozenset(gone - {(each.kind, each.key) for each in found})
    return Look(tuple(found), cleared=cleared, recorded={what: sorted(levels) for what, levels in recorded.items()})


def _things(event: Event) -> Iterator[str]:
    if (event.group, event.resource, event.subresource) == ("", "secrets", "") and event.level:
        yield _SECRETS
    wanted = _WANTED.get((event.group, event.subresource))
    if wanted and event.verb in {"create", "update", "patch"} and event.succeeded and event.level:
        yield wanted[0]


def _gap(what: str, event: Event) -> Found | None:
    """Return what the level of a request says is wrong with the audit policy, or None where it is right."""
    if what == _SECRETS:
        detail = "bodies of secrets belong at level Metadata: who reads the log reads the secrets"
        title = "The audit log itself holds the content of secrets"
        return Found(Kind.AUDIT_SECRETS, what, "high", title, detail, event.at) if event.level in _BODIES else None
    if event.level != "Metadata":
        return None
    missing, level = next((missing, level) for name, missing, level in _WANTED.values() if name == what)
    return Found(Kind.AUDIT, what, "medium", f"{what}: {missing}", f"level Metadata; {level} records it", event.at)


def look_for_silence(days: Iterable[dict[str, list[str]]]) -> Look:
    """Find what no event showed on any of the days, each given as the levels seen by kind of request."""
    looked_at = [day for day in days if day]
    seen = {what for day in looked_at for what in day}
    if len(looked_at) < _ENOUGH_DAYS:
        return Look()
    return Look(
        tuple(
            Found(
                Kind.AUDIT,
                f"{_NEVER}{what}",
                "low",
                f"{what}: never seen",
                f"in what was looked at on {len(looked_at)} days: nobody did it, or the audit policy leaves it out",
            )
            for what in EVERYDAY
            if what not in seen
        )
    )


def _at(event: Event) -> datetime:
    return event.at or datetime.min.replace(tzinfo=UTC)
