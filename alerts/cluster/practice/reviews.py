"""Questions that are answered and not stored: access reviews, "who am I", tokens of service accounts."""

from datetime import UTC, datetime, timedelta
from typing import Any

from alerts.cluster.kinds import KINDS, Kind, Manifest, ObjectReference
from alerts.cluster.practice import status
from alerts.cluster.practice.authorization import Authorizer
from alerts.cluster.practice.objects import Answer, Call
from alerts.cluster.practice.request_info import RequestInfo
from alerts.cluster.practice.store import Store, timestamp
from alerts.cluster.practice.users import Tokens, User
from alerts.rbac import Request

_ACCESS = "authorization.k8s.io"
_IDENTITY = "authentication.k8s.io"
_ACCESS_REVIEWS = {
    "subjectaccessreviews": "SubjectAccessReview",
    "selfsubjectaccessreviews": "SelfSubjectAccessReview",
}
_TOKEN_SECONDS = 3600


def answer(call: Call, authorizer: Authorizer) -> Answer | None:
    """Return the answer to a review, or None where the request is none."""
    if is_access_review(call.info):
        return _access(call, authorizer)
    if (call.info.verb, call.info.group, call.info.resource) == ("create", _IDENTITY, "selfsubjectreviews"):
        return 201, {
            "kind": "SelfSubjectReview",
            "apiVersion": f"{_IDENTITY}/v1",
            "metadata": {"creationTimestamp": timestamp(datetime.now(UTC))},
            "status": {"userInfo": call.user.manifest()},
        }
    return None


def is_access_review(info: RequestInfo) -> bool:
    """Tell whether a request asks who may do what."""
    return (info.verb, info.group) == ("create", _ACCESS) and info.resource in _ACCESS_REVIEWS


def submitted(info: RequestInfo, body: Manifest) -> Manifest:
    """Return an access review as it was asked: with an answer that is no yet."""
    identity = {"kind": _ACCESS_REVIEWS[info.resource], "apiVersion": f"{_ACCESS}/v1", "metadata": {}}
    return identity | {"spec": body.get("spec") or {}, "status": {"allowed": False}}


def _access(call: Call, authorizer: Authorizer) -> Answer:
    asked = submitted(call.info, call.body if isinstance(call.body, dict) else {})
    spec, user = asked["spec"], call.user
    if asked["kind"] == "SubjectAccessReview":
        user = User(spec.get("user", ""), tuple(spec.get("groups") or ()))
        if not user.name and not user.groups:
            _refuse("spec.user", 'Invalid value: "": at least one of user or group must be specified')
    decision = authorizer.decide(user, _request(spec))
    verdict: Manifest = {"allowed": decision.allowed} | ({"reason": decision.reason} if decision.reason else {})
    owned = {
        "manager": call.manager,
        "operation": "Update",
        "apiVersion": asked["apiVersion"],
        "time": timestamp(datetime.now(UTC)),
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": _owned(spec)},
    }
    return 201, asked | {"metadata": {"managedFields": [owned]}, "status": verdict}


def _owned(fields: Manifest) -> Manifest:
    return {
        f"f:{key}": {".": {}} | _owned(value) if isinstance(value, dict) else {}
        for key, value in fields.items()
        if value
    }


def _request(spec: Manifest) -> Request:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (resource is None) == (path is None):
        _refuse(
            "spec.resourceAttributes", "Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes"
        )
    if path is not None:
        return Request(path.get("verb", ""), path=path.get("path", ""))
    fields = ("verb", "group", "resource", "subresource", "name", "namespace")
    return Request(**{field: str((resource or {}).get(field, "")) for field in fields})


def _refuse(field: str, message: str) -> None:
    review = Kind("", _ACCESS, "v1", "", namespaced=False)
    raise status.invalid(review, "", [status.Cause(field, "FieldValueInvalid", message)])


def issue_token(call: Call, store: Store, tokens: Tokens) -> Answer:
    """Return a TokenRequest with a new token of the service account that a request names."""
    reference = ObjectReference("ServiceAccount", call.info.namespace, call.info.name)
    account = store.find(reference)
    if account is None:
        raise status.not_found(KINDS["ServiceAccount"], call.info.name)
    asked: Any = ((call.body or {}).get("spec") or {}).get("expirationSeconds")
    seconds = asked if isinstance(asked, int) else _TOKEN_SECONDS
    return 201, {
        "kind": "TokenRequest",
        "apiVersion": f"{_IDENTITY}/v1",
        "metadata": {"name": reference.name, "namespace": reference.namespace, "creationTimestamp": store.now()},
        "spec": {"audiences": ["https://kubernetes.default.svc"], "expirationSeconds": seconds, "boundObjectRef": None},
        "status": {
            "token": tokens.issue_for_account(account),
            "expirationTimestamp": timestamp(datetime.now(UTC) + timedelta(seconds=seconds)),
        },
    }
