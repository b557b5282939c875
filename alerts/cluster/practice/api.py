"""The practice cluster's API: from a request to its answer, its audit event, and what the controllers do about it."""

import json
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from alerts.cluster.kinds import KINDS, Manifest
from alerts.cluster.practice import audit, controllers, request_info, reviews, status
from alerts.cluster.practice.authorization import Authorizer, Decision
from alerts.cluster.practice.objects import Answer, Call, Objects
from alerts.cluster.practice.store import Store
from alerts.cluster.practice.users import Tokens, User, service_account
from alerts.cluster.practice.writing import Writing, decode, denial

VERSION = "v1.36.3"
_WRITES = {"create", "update", "patch", "delete", "deletecollection"}
_CONTROLLER_MANAGER = "kube-controller-manager/v1.36.3 (linux/amd64)"


@dataclass(frozen=True)
class Received:
    """An HTTP request as it came in."""

    method: str
    target: str
    headers: Mapping[str, str]  # names in lower case
    content: bytes
    source: str = "127.0.0.1"


class PracticeAPI:
    """Answers requests out of a store. `record` is given every audit event."""

    def __init__(self, store: Store, record: Callable[[Manifest], None]) -> None:
        self.store, self.tokens = store, Tokens(store)
        self._record = record
        self._authorizer = Authorizer(store)
        self._objects = Objects(store, self._authorizer)
        self._writing = Writing(self._objects)
        self._lock = threading.RLock()

    def answer(self, received: Received) -> tuple[int, Manifest, str]:
        """Return status code, body and audit ID of the answer to a request."""
        return self._exchange(received, None)

    def settle(self) -> None:
        """Let the controllers do what the last writes call for."""
        with self._lock:
            controllers.settle(self.store, self._send)

    def _send(self, account: str, method: str, target: str, body: Manifest) -> None:
        content_type = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
        user_agent = f"{_CONTROLLER_MANAGER}/system:serviceaccount:kube-system:{account}"
        headers = {"content-type": content_type, "user-agent": user_agent}
        received = Received(method, target, headers, json.dumps(body).encode())
        code, answer, _ = self._exchange(received, service_account("kube-system", account))
        if code >= 400:
            raise RuntimeError(f"{account} was refused: {answer.get('message')}")

    def _exchange(self, received: Received, user: User | None) -> tuple[int, Manifest, str]:
        info = request_info.parse(received.method, received.target)
        started = audit.Exchange(
            audit_id=received.headers.get("audit-id") or str(uuid.uuid4()),
            info=info,
            target=received.target,
            user=user,
            source=received.source,
            user_agent=received.headers.get("user-agent", ""),
            received=datetime.now(UTC),
            decision=None,
            body=None,
            code=200,
            answer={},
        )
        with self._lock:
            ended = self._outcome(received, started)
            recorded = audit.event(ended)
            if recorded is not None:
                self._record(recorded)
        return ended.code, ended.answer, ended.audit_id

    def _outcome(self, received: Received, exchange: audit.Exchange) -> audit.Exchange:
        """Return the exchange with user, decision, body and answer filled in, as far as it came."""
        info = exchange.info
        try:
            user = exchange.user or self.tokens.authenticate(received.headers.get("authorization", ""))
            decision = self._authorizer.decide(user, info.request)
            exchange = replace(exchange, user=user, decision=decision)
            if not decision.allowed:
                raise _denied(user, exchange, decision)
            content_type = received.headers.get("content-type", "application/json")
            body = decode(received.content, content_type)
            exchange = replace(exchange, body=body)
            manager = info.query.get("fieldManager") or exchange.user_agent.partition("/")[0] or "unknown"
            code, answer = self._dispatch(Call(user, info, body, content_type, manager))
        except status.Refusal as refusal:
            body = None if refusal.unread else exchange.body
            return replace(exchange, body=body, code=refusal.code, answer=refusal.status)
        return replace(exchange, code=code, answer=answer)

    def _dispatch(self, call: Call) -> Answer:
        info, kind = call.info, call.info.kind
        if not info.resource:
            return _bare(info.path)
        review = reviews.answer(call, self._authorizer)
        if review is not None:
            return review
        if (info.resource, info.subresource, info.verb) == ("serviceaccounts", "token", "create"):
            return reviews.issue_token(call, self.store, self.tokens)
        if kind is None or info.subresource or bool(info.namespace) > kind.namespaced + (kind.name == "Namespace"):
            raise status.no_such_resource()
        handlers: dict[str, Callable[[Call, Any], Answer]] = {
            "get": self._objects.get,
            "list": self._objects.list,
            "delete": self._objects.delete,
            "deletecollection": self._objects.delete_collection,
            "create": self._writing.create,
            "update": self._writing.update,
            "patch": self._writing.patch,
        }
        if info.verb not in handlers or (info.verb == "create" and info.name):
            raise status.method_not_allowed()
        return handlers[info.verb](call, kind)


def writes(method: str) -> bool:
    """Tell whether a request of this method may change something."""
    return method not in {"GET", "HEAD", "OPTIONS"}


def _denied(user: User, exchange: audit.Exchange, decision: Decision) -> status.Refusal:
    info = exchange.info
    sentence = denial(user.name, info.request)
    if decision.reason:
        sentence = f"{sentence}: {decision.reason}"
    if not info.resource:
        return status.Refusal(403, "Forbidden", f"forbidden: {sentence}", {})
    return status.forbidden_resource(info.group, info.resource, info.name, sentence)


def _bare(path: str) -> Answer:
    """Return what is served at a path that is no resource: the version, health, and which kinds there are."""
    if path == "/version":
        return 200, {"major": "1", "minor": "36", "gitVersion": VERSION, "platform": "practice"}
    if path in {"/healthz", "/livez", "/readyz"}:
        return 200, {"status": "ok"}
    groups = {f"/apis/{kind.group}/v1" if kind.group else "/api/v1" for kind in KINDS.values()}
    if path not in groups:
        raise status.no_such_resource()
    resources = [
        {
            "name": kind.plural,
            "kind": kind.name,
            "namespaced": kind.namespaced,
            "verbs": sorted(_WRITES | {"get", "list"}),
        }
        for kind in KINDS.values()
        if path == (f"/apis/{kind.group}/v1" if kind.group else "/api/v1")
    ]
    return 200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": path[5:], "resources": resources}
