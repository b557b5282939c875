"""How long raw batches, damaged items that no alert is about, and the requests held with closed alerts are kept.

What an alert or a role's history rests on has rows of its own, and stays for good.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import BigIntegerField, Func, QuerySet, Sum
from django.db.models.functions import Length
from django.db.models.sql.compiler import SQLCompiler
from django.utils import timezone

from alerts.models import Batch, Cluster, DamagedItem, HeldRequests

BYTES_A_GIB = 1024**3
# So many at once, that nobody waits long for the database.
_AT_ONCE = 200


class _Octets(Func):
    """How many bytes a text takes, encoded; Length would count its characters."""

    function = "OCTET_LENGTH"
    output_field = BigIntegerField()

    def as_sqlite(
        self, compiler: SQLCompiler, connection: BaseDatabaseWrapper, **_: Any
    ) -> tuple[str, tuple[Any, ...]]:
        # It has no octet_length() before 3.43.
        return self.as_sql(compiler, connection, template="LENGTH(CAST(%(expressions)s AS BLOB))")


# What a batch takes: anybody who may make requests decides how much there is to mention of them.
_SIZE = Length("body") + _Octets("mentions")


@dataclass(frozen=True, slots=True)
class Purged:
    """What was deleted of a cluster, or would be: how many batches are too old, how many too many, and their bytes.

    The bytes are those of bodies and of what is mentioned in them. `damaged` are the damaged items that are too old.
    """

    cluster: str
    too_old: int
    too_many: int
    stored_bytes: int
    damaged: int


def purge(*, dry_run: bool = False) -> list[Purged]:
    """Delete each cluster's examined batches beyond RETENTION_DAYS and RETENTION_GIB, the oldest first.

    What was damaged and concerns no alert goes with the batches of its time, and so do the requests that are held with
    alerts closed that long ago. A batch that waits, is being examined or
    was set aside stays, however old. A dry run only counts.
    """
    return [_purge(cluster, dry_run=dry_run) for cluster in Cluster.objects.all()]


def _purge(cluster: Cluster, *, dry_run: bool) -> Purged:
    examined = cluster.batches.filter(state=Batch.State.DONE)
    before = timezone.now() - timedelta(days=settings.RETENTION_DAYS)
    old = examined.filter(received_at__lt=before)
    stored, too_old = _stored(old), old.count()
    if not dry_run:
        while keys := list(old.order_by("pk").values_list("pk", flat=True)[:_AT_ONCE]):
            _delete(keys)
    surplus, freed = _surplus(examined.filter(received_at__gte=before))
    if not dry_run:
        for start in range(0, len(surplus), _AT_ONCE):
            _delete(surplus[start : start + _AT_ONCE])
        HeldRequests.objects.filter(alert__cluster=cluster, alert__closed_at__lt=before).delete()
    return Purged(cluster.name, too_old, len(surplus), stored + freed, _purge_damaged(cluster, before, dry_run=dry_run))


def _purge_damaged(cluster: Cluster, before: datetime, *, dry_run: bool) -> int:
    harmless = cluster.damaged_items.filter(alert=None, received_at__lt=before)
    count = harmless.count()
    while not dry_run and (keys := list(harmless.order_by("pk").values_list("pk", flat=True)[:_AT_ONCE])):
        DamagedItem.objects.filter(pk__in=keys).defer("body").delete()
    return count


def _stored(batches: QuerySet[Batch]) -> int:
    return batches.aggregate(stored=Sum(_SIZE))["stored"] or 0


def _surplus(batches: QuerySet[Batch]) -> tuple[list[int], int]:
    """Return the oldest batches without which the others have room, and the bytes that their absence frees."""
    excess = _stored(batches) - int(settings.RETENTION_GIB * BYTES_A_GIB)
    keys: list[int] = []
    freed = 0
    if excess > 0:
        for pk, size in batches.order_by("pk").values_list("pk", _SIZE).iterator():
            if freed >= excess:
                break
            keys.append(pk)
            freed += size
    return keys, freed


def _delete(keys: list[int]) -> None:
    # The state once more: whoever set a batch aside since wants it kept.
    Batch.objects.filter(pk__in=keys, state=Batch.State.DONE).defer("body", "mentions").delete()
