"""The practice cluster's objects, in memory."""

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from alerts.cluster.kinds import Manifest, ObjectReference


def timestamp(at: datetime) -> str:
    """Return a time as the API writes it, in whole seconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def copied(manifest: Manifest) -> Manifest:
    """Return a copy; copy.deepcopy, which looks for cycles, takes three times as long."""
    return {key: _copied(each) for key, each in manifest.items()}


def _copied(value: Any) -> Any:
    if isinstance(value, list):
        return [_copied(each) for each in value]
    return copied(value) if isinstance(value, dict) else value


class Store:
    """Objects by reference, each write with the next resourceVersion. Manifests go in and come out as copies."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._objects: dict[ObjectReference, Manifest] = {}
        self._version = 1
        self._now = now

    @property
    def version(self) -> str:
        """The resourceVersion of the newest write."""
        return str(self._version)

    def now(self) -> str:
        """Return the time as a new object carries it."""
        return timestamp(self._now())

    def find(self, reference: ObjectReference) -> Manifest | None:
        """Return the object, or None."""
        found = self._objects.get(reference)
        return copied(found) if found is not None else None

    def all_of(self, kind: str, namespace: str = "") -> list[Manifest]:
        """Return the objects of a kind in the order of etcd's keys: by namespace, then name."""
        return [copied(manifest) for manifest in self.peek(kind, namespace)]

    def peek(self, kind: str, namespace: str = "") -> Iterator[Manifest]:
        """Yield the same without copying, for readers that change nothing."""
        chosen = (
            reference
            for reference in self._objects
            if reference.kind == kind and (not namespace or reference.namespace == namespace)
        )
        for reference in sorted(chosen, key=lambda reference: (reference.namespace, reference.name)):
            yield self._objects[reference]

    def contents(self, namespace: str) -> list[ObjectReference]:
        """Return what is in a namespace."""
        return [reference for reference in self._objects if reference.namespace == namespace]

    def birth(self, manifest: Manifest) -> Manifest:
        """Return the manifest with the uid and creationTimestamp of a new object."""
        metadata = manifest["metadata"] | {"uid": str(uuid.uuid4()), "creationTimestamp": self.now()}
        return manifest | {"metadata": metadata}

    def write(self, manifest: Manifest) -> Manifest:
        """Keep the manifest under the next resourceVersion and return it."""
        self._version += 1
        kept = copied(manifest)
        kept["metadata"]["resourceVersion"] = self.version
        self._objects[ObjectReference.of(kept)] = kept
        return copied(kept)

    def load(self, manifest: Manifest) -> None:
        """Keep a recorded manifest as it is; later writes get higher resourceVersions."""
        self._objects[ObjectReference.of(manifest)] = copied(manifest)
        recorded = str(manifest["metadata"].get("resourceVersion", ""))
        if recorded.isdecimal():
            self._version = max(self._version, int(recorded))

    def remove(self, reference: ObjectReference) -> None:
        """Forget the object."""
        self._version += 1
        self._objects.pop(reference, None)
