"""That objects were deleted one by one or many at once, or may have been."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from alerts.audit.event import Event, metadata_of, objects_in
from alerts.detections.detection import Known, Manifest
from alerts.detections.writes import uid_of

_FINALIZER = "but a finalizer keeps it in force"
# Those of a cascade, in the foreground as Argo CD prunes or leaving orphans: the garbage collector takes them away.
_COLLECTED = frozenset({"foregroundDeletion", "orphan"})


@dataclass(frozen=True, slots=True)
class Deletion:
    """An object that is gone. Its name is "" for all of a collection of which nobody recorded what was in it.

    `before` is the object as it was, None where that is unknown, and `held` how it is in force still, "" where not.
    """

    namespace: str
    name: str
    uid: str = ""
    held: str = ""
    before: Manifest | None = None


def deletions(event: Event, kind: str, known: Known) -> Iterator[Deletion]:
    """Yield what an event deleted, or may have, of that kind."""
    if event.succeeded is False:
        return
    if event.verb == "delete":
        before = known.before(event, kind, None)
        # Of what is gone the answer is a Status, whatever was asked for.
        held = _held(event.answered) or (_FINALIZER if event.abridged else "")
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


def _held(metadata: Mapping[str, Any]) -> str:
    finalizers = metadata.get("finalizers") if metadata.get("deletionTimestamp") else None
    if not isinstance(finalizers, list) or not finalizers:
        return ""
    passing = all(isinstance(each, str) and each in _COLLECTED for each in finalizers)
    return "in force until the garbage collector is done" if passing else _FINALIZER


def _uid(event: Event) -> str:
    """Return the uid from the deleted object, or from the Status that stands for it."""
    answer = event.response
    details: Manifest | Any = answer.get("details") if isinstance(answer, dict) else None
    uid = details.get("uid") if isinstance(details, dict) else event.answered.get("uid")
    return uid if isinstance(uid, str) else ""
