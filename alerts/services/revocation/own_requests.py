"""Which requests in the audit log Rolecall made itself, so that it raises no alert about its own work."""

import secrets

from django.utils.crypto import constant_time_compare, salted_hmac

from alerts.audit.event import Event
from alerts.audit.visible import storable
from alerts.models import Cluster, Revocation
from alerts.services.revocation.attempt import AUDIT_ID

_REHEARSAL = f"{AUDIT_ID}rehearsal-"


def rehearsal_name() -> str:
    """Return what the Audit-IDs of a rehearsal begin with: at level Metadata nothing else tells it from a deletion.

    It is signed, since anybody can choose an Audit-ID.
    """
    nonce = secrets.token_hex(4)
    return f"{_REHEARSAL}{nonce}-{_seal(nonce)}"


def ours(cluster: Cluster, event: Event, *, kind: str) -> bool:
    """Tell whether Rolecall itself made this request: by a plan of this cluster that names the very object, or as a
    rehearsal.
    """
    if event.audit_id.startswith(_REHEARSAL):
        nonce, _, rest = event.audit_id.removeprefix(_REHEARSAL).partition("-")
        return event.dry_run is None and constant_time_compare(rest.partition("-")[0], _seal(nonce))
    number = event.audit_id.removeprefix(AUDIT_ID).partition("-")[0]
    if not event.audit_id.startswith(AUDIT_ID) or not (number.isascii() and number.isdigit() and len(number) < 16):
        return False
    found = Revocation.objects.filter(pk=int(number), alert__cluster=cluster).first()
    key = "/".join((kind, storable(event.namespace), storable(event.name)))
    return found is not None and any(
        result.get("audit_id") == event.audit_id and result.get("key") == key for result in found.results
    )


def _seal(nonce: str) -> str:
    return salted_hmac("rolecall.rehearsal", nonce, algorithm="sha256").hexdigest()[:16]
