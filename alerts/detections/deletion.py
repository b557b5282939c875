"""That objects were deleted one by one or many at once, or may have been."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from alerts.audit.event import Event, metadata_of, objects_in
from alerts.detections.detection import Known, Manifest
from alerts.detections.writes import uid_of


@dataclass(frozen=True, slots=True)
class Deletion:
    """An object that is gone. Its name is "" for all of a collection of which nobody recorded what was in it.

    `before` is the object as it was, None where that is unknown, and `held` whether a finalizer keeps it in force.
    """

    namespace: str
    name: str
    uid: str = ""
    held: bool = False
    before: Manifest | None = None


def deletions(event: Event, kind: str, known: Known) -> Iterator[Deletion]:
    """Yield what an event deleted, or may have, of that kind."""
    if event.succeeded is False:
        return
    if event.verb == "delete":
        before = known.before(event, kind, None)
        # Of what is gone the answer is a Status, whatever was asked for.
        held = event.abridged or _held(event.answered)
        yield Deletion(event.namespace, event.name, _uid(event), held, before)
    elif event.verb == "deletecollection":
        items = objects_in(event.response) if event.succeeded else None
        if items is not None:
            yield from (found for item in items if (found := _item(item)))
        else:
            yield Deletion(event.namespace, "")


def _item(item: Any) -> Deletion | None:
    metadata = metadata_of(item)
    name, namespace = metadata.get("name"), metadata.get("namespace") or ""
    if not (isinstance(name, str) and name and isinstance(namespace, str)):
        return None
    return Deletion(namespace, name, uid_of(item), _held(metadata), item)


def _held(metadata: Mapping[str, Any]) -> bool:
    return bool(metadata.get("deletionTimestamp") and metadata.get("finalizers"))


def _uid(event: Event) -> str:
    """Return the uid from the deleted object, or from the Status that stands for it."""
    answer = event.response
    details: Manifest | Any = answer.get("details") if isinstance(answer, dict) else None
    uid = details.get("uid") if isinstance(details, dict) else event.answered.get("uid")
    return uid if isinstance(uid, str) else ""
