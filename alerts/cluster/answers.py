"""Answers of an API server: the JSON, or the error it stands for."""

import json
import re
from collections.abc import Mapping
from typing import Any

from alerts.audit.visible import visible
from alerts.cluster.call import Call
from alerts.cluster.errors import (
    AlreadyExists,
    ClusterError,
    Failed,
    Forbidden,
    Invalid,
    NotFound,
    Refused,
    Throttled,
    UidConflict,
    Unauthorized,
    VersionConflict,
)
from alerts.rbac import Request

# The sentence of the RBAC authorizer (apiserver/pkg/endpoints/handlers/responsewriters/errors.go, forbiddenMessage).
_LACKS_PERMISSION = re.compile(r"User  cannot \S+ (resource|path) ")
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_LONGEST_MESSAGE = 2000


def examine(call: Call, status: int, headers: Mapping[str, str], body: bytes) -> Any:
    """Return the JSON of a success.

    Raises the ClusterError that fits anything else.
    """
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise Failed(f"What answers is no Kubernetes API (HTTP {status}). Check the cluster's address.", status=status)
    if 200 <= status < 300:
        return content
    raise _error(call, status, headers, content)


def _error(call: Call, status: int, headers: Mapping[str, str], content: Mapping[str, Any]) -> ClusterError:
    said = visible(str(content.get("message", "")))[:_LONGEST_MESSAGE]
    what = _what(call)
    if status == 401:
        return Unauthorized(
            "The cluster does not accept Rolecall's token: it expired or was withdrawn. Enter a new one."
        )
    if status == 403:
        return _forbidden(call, what, said)
    if status == 404 and content.get("reason") == "NotFound":
        return _not_found(call.request, what, content, said)
    if status == 409:
        return _conflict(what, content, said)
    if status in {400, 413, 415, 422}:
        return _invalid(call, what, status, content, said)
    retry_after = _seconds(headers.get("Retry-After"))
    if status == 429 or (status == 503 and retry_after is not None):
        after = 1.0 if retry_after is None else retry_after
        return Throttled(f"The cluster asks to be left alone for {after:g} s.", status=status, retry_after=after)
    return Failed(f"The API server failed (HTTP {status}): {said or 'it gave no reason'}", status=status)


def _not_found(request: Request, what: str, content: Mapping[str, Any], said: str) -> ClusterError:
    """Return NotFound only where the server speaks of this very object: its absence is what proves a revoke."""
    if request.name and (content.get("details") or {}).get("name") != request.name:
        return Failed(f"The cluster does not serve {request.resource_text}: {said}", status=404)
    return NotFound(f"{what} does not exist." if request.name else f"The cluster did not find it: {said}")


def _forbidden(call: Call, what: str, said: str) -> ClusterError:
    if not _LACKS_PERMISSION.search(_unquoted(said)):
        return Refused(f"The cluster refuses this for {what}: {said}", answer=said)
    rule = _missing_rule(call)
    scope = f"in namespace {visible(call.request.namespace)}" if call.request.namespace else "in the whole cluster"
    return Forbidden(
        f"Rolecall's account may not {call.request.verb} {what} {scope}. Give it the rule {json.dumps(rule)}.",
        rule=rule,
        namespace=call.request.namespace,
        answer=said,
    )


def _missing_rule(call: Call) -> dict[str, list[str]]:
    """Return the rule that our account lacks. The name is left out: a rule by name would serve this one object only."""
    if call.request.path is not None:
        return {"nonResourceURLs": [call.request.path], "verbs": [call.request.verb]}
    return {"apiGroups": [call.request.group], "resources": [call.request.resource], "verbs": [call.request.verb]}


def _conflict(what: str, content: Mapping[str, Any], said: str) -> ClusterError:
    if content.get("reason") == "AlreadyExists":
        return AlreadyExists(f"{what} exists already. Nothing was overwritten.")
    # "the UID in the precondition (…)" of a delete, "UID in precondition: …" where it raced with another writer
    if "UID in " in _unquoted(said):
        return _other_object(what)
    return VersionConflict(f"{what} was changed since it was read. Read it again and look at what changed.")


def _other_object(what: str) -> UidConflict:
    return UidConflict(f"{what} is not the object that was planned: it was deleted and made again. Plan anew.")


def _invalid(call: Call, what: str, status: int, content: Mapping[str, Any], said: str) -> ClusterError:
    details = content.get("details") or {}
    # A patch that names another uid is "invalid: metadata.uid: … field is immutable".
    causes = {cause.get("field") for cause in details.get("causes") or []}
    if call.request.verb == "patch" and "metadata.uid" in causes:
        return _other_object(what)
    # A ValidatingAdmissionPolicy answers 422 unless it names another reason.
    if "ValidatingAdmissionPolicy" in _unquoted(said):
        return Refused(f"The cluster refuses this for {what}: {said}", answer=said)
    return Invalid(f"The cluster does not accept the request for {what}: {said}", status=status, answer=said)


def _what(call: Call) -> str:
    """Return what the call is about; a create has its name in the body only."""
    request = call.request
    if request.path is not None:
        return visible(request.path)
    name = request.name or str(((call.body or {}).get("metadata") or {}).get("name", ""))
    return f'{request.resource_text} "{visible(name)}"' if name else request.resource_text


def _unquoted(said: str) -> str:
    """Return what the server said without what it quotes (Go's %q): names there may have been chosen to mislead us."""
    return _QUOTED.sub("", said)


def _seconds(text: str | None) -> float | None:
    """Return a Retry-After in seconds, at most an hour (API servers send whole seconds, never a date)."""
    return min(float(text), 3600.0) if text and text.isdecimal() else None
