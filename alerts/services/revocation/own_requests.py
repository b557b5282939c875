"""Which requests in the audit log Rolecall made itself, so that it raises no alert about its own work."""

import secrets
from collections.abc import Callable

from django.utils.crypto import constant_time_compare, salted_hmac

from alerts.audit.event import Event, metadata_of
from alerts.audit.visible import storable
from alerts.models import Cluster, Restoration, Revocation
from alerts.services.revocation.attempt import AUDIT_ID, UNDO

_REHEARSAL = f"{AUDIT_ID}rehearsal-"


def rehearsal_names(cluster: Cluster, *, by: str) -> Callable[[str], str]:
    """Return what names the calls of a rehearsal: the Audit-ID for the call about the object of a key.

    At level Metadata nothing else tells it from a deletion. Anybody can choose an Audit-ID, and whoever reads the log
    may choose one of ours: its seal holds for this cluster, our account there (`by`), and the one object.
    """
    nonce = secrets.token_hex(4)
    return lambda key: f"{_REHEARSAL}{nonce}-{_seal(nonce, str(cluster.pk), by, storable(key))}"


def ours(cluster: Cluster, event: Event, *, kind: str) -> bool:
    """Tell whether Rolecall itself made this request: a deletion by its own account after a plan of this cluster that
    names the very object, the object that an undo put back, or a rehearsal.
    """
    key = "/".join((kind, storable(event.namespace), storable(event.name)))
    if event.audit_id.startswith(_REHEARSAL):
        return event.dry_run is None and _rehearsed(cluster, event, key)
    if event.audit_id.startswith(UNDO):
        undos = Restoration.objects.filter(revocation__alert__cluster=cluster)
        undone = undos.filter(pk=_number(event.audit_id, UNDO)).first()
        uid = metadata_of(event.response).get("uid")
        return undone is not None and any(each["key"] == key and each["uid"] == uid for each in undone.results)
    number = _number(event.audit_id, AUDIT_ID)
    found = Revocation.objects.filter(pk=number, alert__cluster=cluster).first() if number else None
    return (
        found is not None
        and event.actor == found.effects.get("ourselves")
        and any(each.get("audit_id") == event.audit_id and each.get("key") == key for each in found.results)
    )


def _rehearsed(cluster: Cluster, event: Event, key: str) -> bool:
    """Tell whether it is our account that rehearses a step about this object."""
    nonce, _, rest = event.audit_id.removeprefix(_REHEARSAL).partition("-")
    seal = rest.partition("-")[0]
    if not event.actor:
        return False
    if constant_time_compare(seal, _seal(nonce, str(cluster.pk), event.actor, key)):
        return True
    # Before, the seal held for the nonce alone: the rest is in the plan that was rehearsed.
    return constant_time_compare(seal, _seal(nonce)) and _planned(cluster, event.actor, key)


def _planned(cluster: Cluster, actor: str, key: str) -> bool:
    """Tell whether a plan of this cluster, made by that account of ours, names the object."""
    plans = Revocation.objects.filter(alert__cluster=cluster, effects__ourselves=actor).order_by()
    return any(
        "/".join((each["kind"], each["namespace"], each["name"])) == key
        for plan in plans.values_list("plan", flat=True)
        for each in plan
    )


def _number(audit_id: str, start: str) -> int:
    """Return the key of the row that an Audit-ID names, 0 for none."""
    number = audit_id.removeprefix(start).partition("-")[0]
    named = audit_id.startswith(start) and number.isascii() and number.isdigit() and len(number) < 16
    return int(number) if named else 0


def _seal(*sealed: str) -> str:
    return salted_hmac("rolecall.rehearsal", "\0".join(sealed), algorithm="sha256").hexdigest()[:16]
