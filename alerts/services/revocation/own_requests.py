"""Which requests in the audit log Rolecall made itself, so that it raises no alert about its own work."""

import secrets

from django.utils.crypto import constant_time_compare, salted_hmac

from alerts.audit.event import Event, metadata_of
from alerts.audit.visible import storable
from alerts.models import Cluster, Restoration, Revocation
from alerts.services.revocation.attempt import AUDIT_ID, UNDO

_REHEARSAL = f"{AUDIT_ID}rehearsal-"


def rehearsal_name() -> str:
    """Return what the Audit-IDs of a rehearsal begin with: at level Metadata nothing else tells it from a deletion.

    It is signed, since anybody can choose an Audit-ID.
    """
    nonce = secrets.token_hex(4)
    return f"{_REHEARSAL}{nonce}-{_seal(nonce)}"


def ours(cluster: Cluster, event: Event, *, kind: str) -> bool:
    """Tell whether Rolecall itself made this request: a deletion by its own account after a plan of this cluster that
    names the very object, the object that an undo put back, or a rehearsal.
    """
    if event.audit_id.startswith(_REHEARSAL):
        nonce, _, rest = event.audit_id.removeprefix(_REHEARSAL).partition("-")
        return event.dry_run is None and constant_time_compare(rest.partition("-")[0], _seal(nonce))
    key = "/".join((kind, storable(event.namespace), storable(event.name)))
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


def _number(audit_id: str, start: str) -> int:
    """Return the key of the row that an Audit-ID names, 0 for none."""
    number = audit_id.removeprefix(start).partition("-")[0]
    named = audit_id.startswith(start) and number.isascii() and number.isdigit() and len(number) < 16
    return int(number) if named else 0


def _seal(nonce: str) -> str:
    return salted_hmac("rolecall.rehearsal", nonce, algorithm="sha256").hexdigest()[:16]
