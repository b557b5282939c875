"""That an object was created in any of the ways Kubernetes can make one, or that somebody tried to and was refused."""

from collections.abc import Callable, Iterator

from alerts.audit.event import Event
from alerts.detections import escalation_refused
from alerts.detections.detection import Finding, Manifest
from alerts.detections.writes import about, by_itself, created, day_of, manifest_of, named, request_of, uid_of


def creations(
    event: Event, kind: str, detection: str, *, given: Callable[[Manifest | None], str] | None = None
) -> Iterator[Finding]:
    """Yield a finding where the event creates an object of that kind, may have, or attempts to; a rehearsal does not.

    `given` returns what the object gives to whom, for the title. What the API server makes by itself is nothing to
    find, and what the escalation check refused is another detection's.
    """
    what = named(kind, event.namespace, event.name)
    if created(event) or (event.verb == "create" and event.succeeded is None):
        if not by_itself(event, kind, event.name):
            manifest = manifest_of(event, kind)
            uid = uid_of(manifest) if event.response is not None else ""
            # Without a uid (below level RequestResponse) the request itself is what happened once.
            cause = ["uid", uid] if uid else ["request", event.name, *request_of(event)]
            ending = given(manifest) if given else ""
            title = f"{what} created: {ending}" if ending else f"{what} created"
            yield about(event, kind, detection, cause, title, uid=uid)
    elif _attempted(event) and not escalation_refused.refused(event):
        cause = ["attempt", event.actor, event.namespace, event.name, day_of(event)]
        # What was to be created is not logged where the authorizer forbids it.
        title = f"Attempt to create {what}"
        yield about(event, kind, detection, cause, title, attempted=True, repetitive=True)


def _attempted(event: Event) -> bool:
    """Tell whether it was refused.

    Neither invalid (422, 400) nor there already (409): the former is no object, the latter no creation.
    """
    if event.code != 403 or event.verb not in {"create", "patch", "update"}:
        return False
    if event.verb == "create":
        return True
    # What withAuthorization answers (pkg/endpoints/handlers/update.go of k8s.io/apiserver) where an apply or a PUT
    # would have created the object. Names in the message are quoted (%q), so they cannot bring these words about.
    message = event.response_status.message if event.response_status else ""
    return f' cannot create resource "{event.resource}" in API group "{event.group}"' in message
