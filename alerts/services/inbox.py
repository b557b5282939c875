"""The inbox: bodies are stored before anybody looks into them, and claimed by lease: none is lost, none done twice.

A lease is a promise with an end. A worker that dies keeps nothing: the batch is claimed again when its lease is over.
Every claim counts as a try, so a batch that kills its worker is set aside after TRIES of them.
"""

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from alerts.detections import audit_data_damaged
from alerts.models import Activity, Batch, Cluster, DamagedItem
from alerts.services import alarm, archive

TRIES = 5
# Longer than a task may run (CELERY_TASK_TIME_LIMIT), so that two workers meet on a batch only where a clock is wrong.
LEASE = timedelta(seconds=150)
_NEVER_EXAMINED = f"It was claimed {TRIES} times, and no worker lived to say why."
# Of what is claimed together, before compression: it is read into memory, and examined in one transaction.
_CLAIMED_BYTES = 8 * 1024 * 1024
_ARRIVALS_APART = timedelta(seconds=1)
_FULLNESS_HOLDS_SECONDS = 5.0


class InboxFull(Exception):
    """More batches wait than may wait, or one for longer; what is posted now has to come again later."""


def store(cluster: Cluster, body: bytes) -> Batch:
    """Keep a body of that cluster, and return its batch; a body that came before is not stored again.

    Raises InboxFull.
    """
    return _store(cluster, body)[0]


def store_leased(cluster: Cluster, body: bytes) -> tuple[Batch, bool]:
    """Keep a body for the caller alone to examine, and return its batch and whether it is the caller's.

    It is not where the body came before and was examined, or somebody else is about to.
    Raises InboxFull.
    """
    batch, new = _store(cluster, body, state=Batch.State.LEASED, leased_until=timezone.now() + LEASE, tries=1)
    return batch, new or _lease(batch)


def _store(cluster: Cluster, body: bytes, **fields: Any) -> tuple[Batch, bool]:
    sha256 = hashlib.sha256(body).hexdigest()
    same = Batch.objects.only("pk").filter(cluster=cluster, sha256=sha256)
    earlier = same.first()
    if earlier is not None:
        return earlier, False
    packed = _packed(body)
    try:
        with transaction.atomic():
            batch = Batch.objects.create(cluster=cluster, sha256=sha256, size=len(body), body=packed, **fields)
            _note_arrival(cluster, batch.received_at)
    except IntegrityError:
        # The same came twice at once; where it did not, the problem is another.
        earlier = same.first()
        if earlier is None:
            raise
        return earlier, False
    return batch, True


def _note_arrival(cluster: Cluster, at: datetime) -> None:
    """Note when the cluster was last heard of, to the second: every post would have to wait for the others' commits.

    Where somebody else holds the row, the next post notes it.
    """
    if cluster.last_batch_at is None or at - cluster.last_batch_at > _ARRIVALS_APART:
        free = Cluster.objects.filter(pk=cluster.pk).select_for_update(skip_locked=True, no_key=True)
        Cluster.objects.filter(pk__in=free.values("pk")).update(last_batch_at=at)


def _lease(batch: Batch) -> bool:
    """Claim this one batch, and tell whether it could be claimed."""
    until = timezone.now() + LEASE
    claimed = (_waiting() | _expired()).filter(pk=batch.pk, tries__lt=TRIES)
    return bool(claimed.update(state=Batch.State.LEASED, leased_until=until, tries=F("tries") + 1))


def _packed(body: bytes) -> bytes:
    if reason := refusal():
        raise InboxFull(reason)
    return archive.pack(body)


def refusal() -> str:
    """Return why nothing new is taken now, in a sentence; the empty string where it is."""
    return _fullness.reason()


class _Fullness:
    """Whether the inbox is full, looked up once in some seconds: the look-up takes longer the more batches wait."""

    def __init__(self) -> None:
        self._known, self._until = "", 0.0

    def reason(self) -> str:
        """Return that as many batches wait as may, or one untried for as long as it may; "" for neither."""
        if time.monotonic() >= self._until:
            self._known = _excess()
            self._until = time.monotonic() + _FULLNESS_HOLDS_SECONDS
        return self._known


_fullness = _Fullness()


def _excess() -> str:
    limit, age_limit = settings.INBOX_LIMIT, settings.INBOX_AGE_LIMIT
    if Batch.objects.filter(state=Batch.State.WAITING)[limit - 1 : limit].exists():
        return f"The inbox is full: as many batches wait as may (INBOX_LIMIT: {limit:,})."
    if _oldest_untried().total_seconds() > age_limit:
        return f"The inbox is full: a batch has waited longer than one may (INBOX_AGE_LIMIT: {age_limit:,} seconds)."
    return ""


def body(kept: Batch | DamagedItem) -> bytes:
    """Return the bytes that were posted.

    Raises CredentialLost.
    """
    return archive.unpack(kept.body)


def bodies(batches: Sequence[Batch]) -> Iterator[tuple[Batch, bytes]]:
    """Yield the same of some batches, one after the other, asked for at once."""
    keys = [batch.pk for batch in batches]
    packed = dict(Batch.objects.filter(pk__in=keys).order_by().values_list("pk", "body"))
    for batch in batches:
        yield batch, archive.unpack(packed[batch.pk])


def _waiting() -> QuerySet[Batch]:
    """Return the batches that nobody has claimed yet, the oldest first."""
    return Batch.objects.filter(state=Batch.State.WAITING).order_by("received_at", "pk")


def _expired() -> QuerySet[Batch]:
    """Return those whose lease is over, or their pause after a failure."""
    return Batch.objects.filter(state=Batch.State.LEASED, leased_until__lte=timezone.now()).order_by("leased_until")


def oldest_waiting() -> timedelta:
    """Return how long the oldest batch has waited to be examined, or been tried; nothing where there is none.

    One that failed waits again since its pause is over: before, nobody may claim it.
    """
    now, leased = timezone.now(), Batch.objects.filter(state=Batch.State.LEASED)
    # One state at a time, for then each is one look into the index.
    since = (
        _earliest(Batch.objects.filter(state=Batch.State.WAITING), "received_at"),
        _earliest(leased.filter(error=""), "received_at"),
        _earliest(leased.exclude(error="").filter(leased_until__lte=now), "leased_until"),
    )
    return max((now - at for at in since if at), default=timedelta())


def _earliest(batches: QuerySet[Batch], field: str) -> datetime | None:
    return batches.order_by(field).values_list(field, flat=True).first()


def _oldest_untried() -> timedelta:
    """Return how long the oldest batch has waited that nobody tried to examine; nothing where there is none.

    One that was tried says nothing of the workers, whether it fails or was set aside and is examined again.
    """
    at = _earliest(Batch.objects.filter(state=Batch.State.WAITING, tries=0, alert=None), "received_at")
    return timezone.now() - at if at else timedelta()


def has_waiting() -> bool:
    """Tell whether there is something to claim."""
    # In their order, for so they are found in an index: exists() may have PostgreSQL look through all that are done.
    return any(found.values_list("pk")[:1] for found in (_waiting(), _expired()))


def claim(limit: int) -> list[Batch]:
    """Lease up to so many batches, the oldest first, for LEASE; what others hold or are about to hold is passed over.

    Of large ones fewer: one that nobody can examine soon enough would let the leases of the others run out.
    Batches that were tried too often are set aside instead. One that was tried before comes alone: it may be what
    killed its worker, and others would count that as their own.
    """
    while batches := _taken(limit):
        if claimed := [batch for batch in batches if batch.state == Batch.State.LEASED]:
            return claimed
    return []


def _taken(limit: int) -> list[Batch]:
    """Lease some batches or set them aside, and return them."""
    with transaction.atomic():
        batches = _next(limit)
        if batches and batches[0].tries >= TRIES:
            _set_aside(batches[0], batches[0].error or _NEVER_EXAMINED)
            return batches
        sizes = accumulate(batch.size for batch in batches)
        batches = batches[: max(1, sum(size <= _CLAIMED_BYTES for size in sizes))]
        until = timezone.now() + LEASE
        Batch.objects.filter(pk__in=[batch.pk for batch in batches]).update(
            state=Batch.State.LEASED, leased_until=until, tries=F("tries") + 1
        )
    for batch in batches:
        batch.state, batch.leased_until, batch.tries = Batch.State.LEASED, until, batch.tries + 1
    return batches


def _next(limit: int) -> list[Batch]:
    """Hold what is to be claimed next: one that was tried before, or some that were not.

    Each state is asked for by itself. Both together are found in no index in their order, and each claim would look at
    all batches that are kept, or sort all that wait.
    """
    for found, most in ((_expired(), 1), (_waiting(), limit)):
        # On SQLite, which has no row locks, the transaction itself is the lock (transaction_mode IMMEDIATE).
        free = found.select_for_update(skip_locked=True, of=("self",))
        if batches := list(free.select_related("cluster").defer("body", "mentions")[:most]):
            return batches
    return []


def hold(batches: Iterable[Batch]) -> dict[int, Batch]:
    """Hold those of the batches that are not done until the transaction is over; return them as they stand, by key."""
    keys = [batch.pk for batch in batches]
    waiting = Batch.objects.exclude(state=Batch.State.DONE).order_by("pk")
    return waiting.select_for_update(of=("self",)).defer("body", "mentions").in_bulk(keys)


def put_back(batch: Batch, error: str) -> None:
    """Have a batch tried again later, each time after a longer pause; after the last try, set it aside."""
    with transaction.atomic():
        fresh = Batch.objects.select_for_update(of=("self",)).defer("body", "mentions").get(pk=batch.pk)
        if fresh.state != Batch.State.LEASED:
            return
        if fresh.tries >= TRIES:
            _set_aside(fresh, error)
            return
        # Still leased, to nobody: it can be claimed when the pause is over.
        fresh.error, fresh.leased_until = error, timezone.now() + timedelta(seconds=4**fresh.tries)
        fresh.save(update_fields=["error", "leased_until"])


def try_again(batch: Batch, *, by: User) -> bool:
    """Have a batch that was set aside examined again, with as many tries as a new one; tell whether it was aside."""
    with transaction.atomic():
        aside = Batch.objects.filter(pk=batch.pk, state=Batch.State.QUARANTINED)
        if not aside.update(state=Batch.State.WAITING, tries=0, error=""):
            return False
        Activity.objects.record(
            "tried_again",
            f"had a batch of {batch.size:,} bytes examined again that was set aside",
            by=by,
            cluster=batch.cluster,
            detail={"batch": batch.pk, "sha256": batch.sha256},
        )
        return True


def _set_aside(batch: Batch, error: str) -> None:
    received_at = batch.received_at
    finding = audit_data_damaged.quarantined(received_at)
    alert, _ = alarm.open_alert(batch.cluster, finding, at=received_at, received_at=received_at)
    batch.state, batch.leased_until, batch.error, batch.alert = Batch.State.QUARANTINED, None, error, alert
    batch.save(update_fields=["state", "leased_until", "error", "alert"])
    Activity.objects.record(
        "quarantined",
        f"could not examine a batch of {batch.size:,} bytes and set it aside: {error}",
        by=None,
        cluster=batch.cluster,
        detail={"batch": batch.pk, "sha256": batch.sha256},
    )
