"""That objects were deleted one by one or many at once, or may have been."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from alerts.audit.event import Event, metadata_of
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
        answer = event.response
        before = known.before(event, kind, None)
        yield Deletion(event.namespace, event.name, _uid(answer), _held(answer), before)
    elif event.verb == "deletecollection":
        items = event.response.get("items") if isinstance(event.response, dict) and event.succeeded else None
        if isinstance(items, list):
            yield from (found for item in items if (found := _item(item)))
        else:
            yield Deletion(event.namespace, "")


def _item(item: Any) -> Deletion | None:
    metadata = metadata_of(item)
    name, namespace = metadata.get("name"), metadata.get("namespace") or ""
    if not (isinstance(name, str) and name and isinstance(namespace, str)):
        return None
    return Deletion(namespace, name, uid_of(item), _held(item), item)


def _held(answer: Any) -> bool:
    metadata = metadata_of(answer)
    return bool(metadata.get("deletionTimestamp") and metadata.get("finalizers"))


def _uid(answer: Any) -> str:
    """Return the uid from the deleted object, or from the Status that stands for it."""
    details: Manifest | Any = answer.get("details") if isinstance(answer, dict) else None
    uid = details.get("uid") if isinstance(details, dict) else uid_of(answer)
    return uid if isinstance(uid, str) else ""
