"""Roles and bindings that one worker holds while it records what became of them, so that nobody else does.

What is read of them once stays true until the transaction is over. New versions are stored together, by `store`, which
belongs before whatever else is asked of them.
"""

from collections.abc import Mapping, Set
from datetime import datetime

from alerts.models import AccessObject, AccessVersion, Cluster
from alerts.models.access import Name
from alerts.services import chronology
from alerts.services.chronology import Write


class Holding:
    """The objects held, how each stands, and which of the versions that are about to be recorded are there already."""

    def __init__(self, cluster: Cluster, changed: Mapping[Name, Set[str]]) -> None:
        """Hold the objects of these names, of which versions of these resourceVersions are about to be recorded."""
        self._objects = AccessObject.hold(cluster, changed)
        self._looked_for = set[str]().union(*changed.values())
        self._newest: dict[int, AccessVersion] = {}
        self._recorded: set[tuple[int, str, str]] = set()
        self._uids: set[tuple[int, str]] = set()
        self._new: list[AccessVersion] = []
        if self._objects:
            self._read()

    def _read(self) -> None:
        keys = [named.pk for named in self._objects.values()]
        versions = AccessVersion.objects.filter(object__in=keys).order_by()
        recorded = versions.filter(resource_version__in=self._looked_for, deletion=False)
        newest = AccessVersion.newest_of(AccessObject.objects.filter(pk__in=keys))
        self._newest = {each.object_id: each for each in newest}
        self._recorded = set(recorded.values_list("object", "uid", "resource_version"))
        self._uids = set(versions.values_list("object", "uid").distinct())

    def __getitem__(self, name: Name) -> AccessObject:
        return self._objects[name]

    def get(self, name: Name) -> AccessObject | None:
        """Return the object of that name, None where it is not held."""
        return self._objects.get(name)

    def may_have(self, named: AccessObject, uid: str, resource_version: str) -> bool:
        """Tell whether this version of a held object is recorded, or may be as nobody said that it is about to be."""
        known = resource_version in self._looked_for
        return not known or (named.pk, uid, resource_version) in self._recorded

    def is_first(self, object_id: int, uid: str) -> bool:
        """Tell whether nothing of this uid of a held object is recorded yet, by the object's key."""
        return (object_id, uid) not in self._uids

    def newest(self, named: AccessObject) -> AccessVersion | None:
        """Return the newest version of a held object, None where nothing is recorded of it."""
        return self._newest.get(named.pk)

    def place(self, version: AccessVersion, *, began: datetime) -> None:
        """Date a version of a held object, which is dated by the end of its request, and those before it.

        Its own new date is not stored yet.
        """
        newest = self.newest(version.object)
        if newest is None or not version.uid or self.is_first(version.object_id, version.uid):
            # Only versions of one uid stand in an order of their own.
            return
        follows = Write.of(version, began=began).surely_follows(newest)
        if newest.pk != version.pk and follows and newest.at < version.at:
            return
        self.store()
        if chronology.place(version, began=began):
            self._newest[version.object_id] = version.object.latest() or newest

    def note(self, version: AccessVersion) -> None:
        """Take notice of a version that was recorded, or is dated otherwise now; a new one is stored with others."""
        self._recorded.add((version.object_id, version.uid, version.resource_version))
        self._uids.add((version.object_id, version.uid))
        newest = self._newest.get(version.object_id)
        if version.pk is None:
            self._new.append(version)
            later = newest is None or newest.at <= version.at
        else:
            if newest is not None and newest.pk == version.pk:
                newest = version.object.latest()
            later = newest is None or (newest.at, newest.pk) < (version.at, version.pk)
        self._newest[version.object_id] = version if later or newest is None else newest

    def store(self) -> None:
        """Store the new versions, in the order in which they were noted."""
        new, self._new = self._new, []
        if new:
            AccessVersion.objects.bulk_create(new)
