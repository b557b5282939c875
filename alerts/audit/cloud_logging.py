"""Entries of Google Cloud Logging, turned into the audit events that GKE made them from, as far as they say.

An entry holds no groups, uid, level or address of the request, so none of these is in the event. After the fields of
google.cloud.audit.AuditLog, and of GKE's entries as published; the resource name is GROUP/VERSION/PATH, with the group
"core" for the group "".
"""

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from alerts.audit.salvage import Unreadable

type Object = dict[str, Any]

Time = Annotated[datetime, Meta(tz=True)]

SERVICE = "k8s.io"
NOT_AN_EVENT = "It is an entry of Google Cloud Logging that names no method."
_LONG_RUNNING = frozenset({"exec", "attach", "portforward", "proxy"})
# google/rpc/code.proto says which HTTP status each of its codes stands for.
_HTTP = {
    1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501, 13: 500,
    14: 503, 15: 500, 16: 401,
}  # fmt: skip
_UNKNOWN = 2
# An object is a request's own creation if it is not older than this when the request is logged.
_JUST_NOW = timedelta(seconds=5)


def is_audit(entry: Object) -> bool:
    """Tell whether an entry comes from the audit log of a Kubernetes API server."""
    return _object(entry, "protoPayload").get("serviceName") == SERVICE


def event_of(entry: Object) -> bytes:
    """Return the audit event of an entry, as JSON that is the same however the entry was written.

    Raises Unreadable where the entry does not say what was asked for.
    """
    payload, operation = _object(entry, "protoPayload"), _object(entry, "operation")
    *_, verb = method = _text(payload, "methodName").split(".")
    if not verb:
        raise Unreadable(NOT_AN_EVENT)
    who, how = _object(payload, "authenticationInfo"), _object(payload, "requestMetadata")
    reference = _reference(_text(payload, "resourceName"), method)
    selector, address = _text(who, "authoritySelector"), _text(how, "callerIp")
    event = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "auditID": _text(operation, "id") or _text(entry, "insertId"),
        "stage": "ResponseStarted" if operation.get("first") and operation.get("last") is False else None,
        "verb": verb,
        "user": {"username": _text(who, "principalEmail")},
        "impersonatedUser": {"username": selector} if selector else None,
        "sourceIPs": [address] if address else None,
        "userAgent": how.get("callerSuppliedUserAgent"),
        "objectRef": reference or None,
        "responseStatus": _status(entry, payload, verb, reference),
        "requestObject": _manifest(payload.get("request")),
        "responseObject": _manifest(payload.get("response")),
        "requestReceivedTimestamp": entry.get("timestamp"),
        "annotations": entry.get("labels"),
    }
    return msgspec.json.encode({key: value for key, value in event.items() if value is not None}, order="sorted")


def _reference(resource_name: str, method: list[str]) -> dict[str, str]:
    """Return what the request was about; {} for a request about no object, such as /version.

    A path such as namespaces/web/status can be two things. The method ends in VERSION.RESOURCE[.SUBRESOURCE].VERB.
    """
    group, _, rest = resource_name.partition("/")
    version, _, path = rest.partition("/")
    if not path or version not in method:
        return {}
    resource = method[method.index(version) + 1]
    parts = path.split("/")
    found = {"apiGroup": "" if group == "core" else group, "apiVersion": version}
    if parts[0] == "namespaces" and resource != "namespaces" and len(parts) > 2:
        found["namespace"] = parts[1]
        parts = parts[2:]
    keys = ("resource", "name", "subresource")
    return {key: value for key, value in (found | dict(zip(keys, parts, strict=False))).items() if value}


def _status(entry: Object, payload: Object, verb: str, reference: dict[str, str]) -> Object | None:
    """Return how the request ended. Entries have Google's codes: which success it was has to be inferred."""
    status, answer = _object(payload, "status"), _object(payload, "response")
    if answer.get("@type") == "core.k8s.io/v1.Status" and isinstance(answer.get("code"), int):
        return {"code": answer["code"], "message": _text(answer, "message"), "reason": _text(answer, "reason")}
    if "status" not in payload and not answer:
        return None
    code = status.get("code") or 0
    if code == _UNKNOWN and reference.get("subresource") in _LONG_RUNNING:
        # The connection was taken over, which is no error.
        return {"code": 101}
    if code:
        return {"code": _HTTP.get(code, 500) if isinstance(code, int) else 500, "message": _text(status, "message")}
    made = verb == "create" or (verb in {"patch", "update"} and _is_new(answer, entry.get("timestamp")))
    return {"code": 201 if made else 200}


def _is_new(answer: Object, logged: Any) -> bool:
    """Tell whether an object was made by the very request that it is the answer to."""
    created = _time(_object(answer, "metadata").get("creationTimestamp"))
    at = _time(logged)
    return created is not None and at is not None and at - created < _JUST_NOW


def _time(value: Any) -> datetime | None:
    try:
        return msgspec.convert(value, Time)
    except msgspec.ValidationError:
        return None


def _manifest(body: Any) -> Any:
    """Return a body without what Google added, and with the kind that Google may have moved: GROUP/VERSION.KIND."""
    if not isinstance(body, dict):
        return body
    rest = {key: value for key, value in body.items() if key != "@type"}
    version, _, kind = _text(body, "@type").rpartition(".")
    if not version or version.startswith(("type.googleapis.com", SERVICE)):
        return rest
    return {"kind": kind, "apiVersion": version.removeprefix("core.k8s.io/").removeprefix("core/")} | rest


def _object(fields: Object, key: str) -> Object:
    value = fields.get(key)
    return value if isinstance(value, dict) else {}


def _text(fields: Object, key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""
