"""When versions of a role or binding took effect: they are dated so that they stand in the order they were written in.

Whoever makes a request chooses when it begins and ends, by sending its body or reading its answer slowly, and another
write may come in between. They do not choose the revision that etcd gives it. So of one uid the greater revision is the
later, and a version took effect no later than those after it did: it is dated by the end of its request, or just before
them. Where nobody knows a revision, the end of the request counts.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from django.db.models import Q, QuerySet

from alerts.models import AccessVersion
from alerts.models.access import revision_of

# Those of two API servers, or of one and Rolecall.
CLOCKS_DIFFER = timedelta(minutes=1)
_STEP = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Write:
    """A request that left an object as a version of this uid and revision, "" and None where they are unknown."""

    began: datetime
    ended: datetime
    uid: str = ""
    revision: int | None = None

    @classmethod
    def of(cls, version: AccessVersion, *, began: datetime) -> Self:
        """Return the request that made a version which is dated by its end."""
        return cls(began, version.at, version.uid, revision_of(version.resource_version))

    def surely_follows(self, newest: AccessVersion) -> bool:
        """Tell whether nothing but the newest version of an object is needed to say that the write came after all."""
        if self.revision is None:
            return newest.at < self.ended
        known = revision_of(newest.resource_version)
        return newest.uid == self.uid and known is not None and known < self.revision


def latest_date(versions: QuerySet[AccessVersion], write: Write) -> datetime:
    """Return when a write took effect at the latest, among these versions of its object."""
    if not write.uid or write.revision is None:
        return write.ended
    later = Q(revision__gt=write.revision) | Q(deletion=True, source=AccessVersion.Source.EVENT)
    # What was over before the write began did not come after it, whatever its revision: they began anew since, as they
    # do where etcd is restored from a backup.
    after = versions.filter(later, uid=write.uid, at__gte=write.began - CLOCKS_DIFFER).order_by("at")
    first = after.values_list("at", flat=True).first()
    return write.ended if first is None else min(write.ended, first - _STEP)


def preceding(versions: QuerySet[AccessVersion], write: Write) -> AccessVersion | None:
    """Return the version of the same uid that a write came right after by its revision, None where none is known.

    Of a deletion, which has no revision, that is the last.
    """
    if not write.uid:
        return None
    below = versions.filter(uid=write.uid, revision__isnull=False, deletion=False)
    if write.revision is not None:
        below = below.filter(revision__lt=write.revision)
    found = below.select_related("event").order_by("-revision").first()
    began = found and (found.event.at if found.event else found.at)
    return found if began and began <= write.ended + CLOCKS_DIFFER else None


def place(version: AccessVersion, *, began: datetime) -> bool:
    """Date a version that is dated by the end of its request, and those before it; return whether it was among others.

    The new date is not stored, those of the others are. Belongs into the transaction that holds the object.
    """
    versions = version.object.versions.exclude(pk=version.pk)
    write = Write.of(version, began=began)
    dated = latest_date(versions, write)
    moved, version.at = dated != version.at, dated
    while (before := preceding(versions, write)) is not None and before.at >= dated:
        before.at = dated = dated - _STEP
        before.save(update_fields=["at"])
        write, moved = replace(write, revision=before.revision), True
    return moved
