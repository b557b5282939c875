"""Audit events as a Kubernetes API server writes them (apiserver/pkg/audit/request.go)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from alerts.cluster.kinds import Manifest
from alerts.cluster.practice import reviews, validation
from alerts.cluster.practice.authorization import Decision
from alerts.cluster.practice.request_info import RequestInfo
from alerts.cluster.practice.status import Refusal
from alerts.cluster.practice.users import User

_SECRET = {"secrets", "configmaps"}
_UNRECORDED = ("/healthz", "/livez", "/readyz", "/version", "/openapi")


@dataclass(frozen=True)
class Exchange:
    """One request and what came of it: all that an event is made of."""

    audit_id: str
    info: RequestInfo
    target: str
    user: User | None
    source: str
    user_agent: str
    received: datetime
    decision: Decision | None
    body: Any
    code: int
    answer: Manifest


def level_of(info: RequestInfo) -> str:
    """Return how much is recorded: RBAC whole, secrets and tokens by name, health checks and watches not at all."""
    if info.verb == "watch" or info.resource == "leases" or (not info.resource and info.path.startswith(_UNRECORDED)):
        return "None"
    if info.group == "rbac.authorization.k8s.io":
        return "RequestResponse"
    if info.group == "authentication.k8s.io" or (info.group == "" and info.resource in _SECRET):
        return "Metadata"
    if info.subresource == "token":
        return "Metadata"
    return "Request"


def event(exchange: Exchange) -> Manifest | None:
    """Return the ResponseComplete event, or None where the policy records nothing."""
    level = level_of(exchange.info)
    if level == "None":
        return None
    permitted = exchange.decision is not None and exchange.decision.allowed
    # A request that was refused before its body was read has no object; one that the storage refused has.
    submitted = _submitted(exchange.body, exchange.info) if permitted else None
    recorded: Manifest = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": level,
        "auditID": exchange.audit_id,
        "stage": "ResponseComplete" if exchange.user else "ResponseStarted",
        "requestURI": exchange.target,
        "verb": exchange.info.verb,
        "user": exchange.user.manifest() if exchange.user else {},
        "sourceIPs": [exchange.source],
        "userAgent": exchange.user_agent,
        "objectRef": _object_ref(exchange.info, submitted),
        "responseStatus": _response_status(exchange.code, exchange.answer),
        "requestObject": submitted if level != "Metadata" else None,
        "responseObject": exchange.answer if level == "RequestResponse" else None,
        "requestReceivedTimestamp": _micro_time(exchange.received),
        "stageTimestamp": _micro_time(datetime.now(UTC)),
        "annotations": _annotations(exchange.decision),
    }
    return {key: value for key, value in recorded.items() if value is not None}


def _submitted(body: Any, info: RequestInfo) -> Any:
    """Return what was sent as the server logs it: decoded, with defaults, and not at all if that failed."""
    if not isinstance(body, dict):
        return body
    if info.verb in {"delete", "deletecollection"}:
        return body | {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/__internal"}
    if reviews.is_access_review(info):
        return reviews.submitted(info, body)
    if info.verb in {"create", "update"} and info.kind is not None:
        try:
            return validation.normalise(info.kind, body)
        except Refusal:
            return None
    return body


def _object_ref(info: RequestInfo, submitted: Any) -> Manifest | None:
    if not info.resource:
        return None
    metadata = submitted.get("metadata") if isinstance(submitted, dict) and info.verb in {"create", "update"} else {}
    metadata = metadata if isinstance(metadata, dict) else {}
    parts = {
        "resource": info.resource,
        "namespace": info.namespace,
        "name": info.name or metadata.get("name"),
        "uid": metadata.get("uid"),
        "apiGroup": info.group,
        "apiVersion": info.version,
        "resourceVersion": metadata.get("resourceVersion"),
        "subresource": info.subresource,
    }
    return {key: value for key, value in parts.items() if value}


def _response_status(code: int, answer: Manifest) -> Manifest:
    if answer.get("kind") != "Status":
        return {"metadata": {}, "code": code}
    return {key: value for key, value in answer.items() if key not in {"kind", "apiVersion"}} | {"code": code}


def _annotations(decision: Decision | None) -> Manifest | None:
    if decision is None:
        return None
    return {
        "authorization.k8s.io/decision": "allow" if decision.allowed else "forbid",
        "authorization.k8s.io/reason": decision.reason,
    }


def _micro_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
