"""Events as they may be kept: secrets and tokens taken out, and everything in a form that a database can hold."""

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from alerts.audit import credentials, salvage
from alerts.audit.credentials import HIDDEN
from alerts.audit.event import Event
from alerts.audit.visible import storable

UNREADABLE = "[unreadable]"

# Their content is the secret, whatever its form: an object, a list of them, or any of the patch types.
_SECRET_RESOURCES = frozenset({("", "secrets"), ("", "configmaps")})
_SECRET_KINDS = frozenset({"Secret", "SecretList", "ConfigMap", "ConfigMapList"})
_CONTENT = frozenset({"data", "stringData", "binaryData"})
# kubectl apply copies the whole object here.
_COPY = "kubectl.kubernetes.io/last-applied-configuration"
# What a mutating webhook made of the request (pkg/admission/plugin/webhook/mutating/dispatcher.go of k8s.io/apiserver)
_PATCH = "patch.webhook.admission.k8s.io/"
# Of a secret's annotations these are read; in any other, tools copy all of it.
_READ_OF_A_SECRET = ("kubernetes.io/service-account.", "meta.helm.sh/")
# What an API server says of a secret without quoting it: that somebody may not, that there is none, that it changed.
_SAYS_NOTHING_OF_IT = frozenset({401, 404, 409})
# An object that was refused, as a message quotes it: its JSON, or Go's way to write a map
_QUOTED = re.compile(r'"(?:\{\\?"|map\[)(?:[^"\\]|\\.)*+"?')
# As a JSON pointer has it (RFC 6901)
_COPY_IN_A_PATH = _COPY.replace("/", "~1")
_FIELDS = frozenset(each.encode_name for each in msgspec.structs.fields(Event)) - {"raw", "salvaged"}
_BODIES = frozenset({"requestObject", "responseObject"})
# A kind of secret, a value beside its name, a copy of an object, or one that a message quotes
_PARTS = (b'"Secret', b'"ConfigMap', b'"value"', _COPY.encode(), _PATCH.encode(), b'\\"{', b'\\"map[')


def text(value: str) -> str:
    """Return the text without tokens and authorization headers, as a database can hold it."""
    # One word, as most are: every token and header has something else between its letters.
    return value if value.isalnum() else storable(credentials.hide(value))


def redacted(event: Event) -> dict[str, Any]:
    """Return the whole event as JSON that may be kept; of a damaged one, whatever can be read."""
    # Of what is too damaged to tell what it is about, nobody knows that it is no secret.
    unknown = event.salvaged and event.object_ref is None
    secret = unknown or (event.group, event.resource) in _SECRET_RESOURCES
    try:
        content: dict[str, Any] = salvage.parse(event.raw)
    except salvage.Unreadable:
        # Beyond the damage, what was inside may seem to be the event's own.
        members = salvage.members(event.raw)
        content = {key: _readable(event.raw, start, end) for key, start, end in members if key in _FIELDS}
    else:
        if not secret and _is_harmless(event.raw):
            return content
    return {text(key): _part(event, key, value, secret=secret) for key, value in content.items()}


def _part(event: Event, key: str, value: Any, *, secret: bool) -> Any:
    if key in _BODIES:
        return HIDDEN if secret and isinstance(value, str) else manifest(value, secret=secret)
    if key == "responseStatus" and isinstance(value, dict):
        return _status(value, secret=secret and event.decision != "forbid")
    if key == "annotations" and isinstance(value, dict):
        return {text(name): _annotation(name, each, secret=secret) for name, each in value.items()}
    return manifest(value)


def _annotation(name: str, value: Any, *, secret: bool) -> Any:
    """Return an audit annotation as it may be kept."""
    if name.startswith(_PATCH) and isinstance(value, str):
        return HIDDEN if secret else _copy(value)
    return manifest(value)


def _status(status: dict[str, Any], *, secret: bool) -> Any:
    """Return a status (meta/v1 Status) as it may be kept: its messages may quote what was refused."""
    quoting = secret and status.get("code") not in _SAYS_NOTHING_OF_IT
    return {
        text(key): _said(key, value, hidden=quoting)
        if key in {"message", "details"}
        else _member(key, value, secret=secret)
        for key, value in status.items()
    }


def _said(key: str, value: Any, *, hidden: bool) -> Any:
    if isinstance(value, dict):
        return {text(name): _said(name, each, hidden=hidden) for name, each in value.items()}
    if isinstance(value, list):
        return [_said(key, each, hidden=hidden) for each in value]
    if key == "message" and isinstance(value, str):
        return HIDDEN if hidden else text(_QUOTED.sub(HIDDEN, value))
    return manifest(value)


def _is_harmless(raw: bytes) -> bool:
    """Tell whether there is nothing to hide in sound JSON and nothing that a database refuses, as in most of it.

    Only of plain text: what is escaped may be any of it, and so may other letters that are the same in lower case.
    """
    if not raw.isascii() or b"\\u" in raw:
        return False
    return not any(part in raw for part in _PARTS) and not credentials.may_be_in(raw)


def _readable(raw: bytes, start: int, end: int | None) -> Any:
    try:
        return salvage.parse(raw[start:end])
    except salvage.Unreadable:
        return UNREADABLE


def manifest(value: Any, *, secret: bool = False) -> Any:
    """Return parsed JSON that may be kept. `secret` says that what it holds is the content of a secret."""
    if isinstance(value, dict):
        return _object(value, secret=secret)
    if isinstance(value, list):
        flagged = [False, *map(credentials.is_flag, value)]
        return [
            HIDDEN if is_flagged and isinstance(each, str) else manifest(each, secret=secret)
            for each, is_flagged in zip(value, flagged, strict=False)
        ]
    return text(value) if isinstance(value, str) else value


def _object(value: dict[str, Any], *, secret: bool) -> Any:
    kind = value.get("kind")
    if kind == "Status":
        return _status(value, secret=secret)
    # Whoever writes a body may put anything there.
    secret = secret or (isinstance(kind, str) and kind in _SECRET_KINDS)
    hidden = credentials.is_named_beside(value) or _is_operation(value, secret=secret)
    return {
        text(key): HIDDEN if hidden and key == "value" else _member(key, each, secret=secret)
        for key, each in value.items()
    }


def _member(key: str, value: Any, *, secret: bool) -> Any:
    if secret and (key in _CONTENT or key == _COPY):
        return {text(name): HIDDEN for name in value} if isinstance(value, dict) else HIDDEN
    if secret and key == "annotations" and isinstance(value, dict):
        return {text(name): _annotation_of_a_secret(name, each) for name, each in value.items()}
    if credentials.is_name(key) and isinstance(value, str | list | int) and value and not isinstance(value, bool):
        return HIDDEN
    if key == _COPY and isinstance(value, str):
        return _copy(value)
    return manifest(value, secret=secret)


def _annotation_of_a_secret(name: str, value: Any) -> Any:
    return manifest(value) if name.startswith(_READ_OF_A_SECRET) else HIDDEN


def _copy(value: str) -> str:
    try:
        return json.dumps(manifest(salvage.parse(value.encode("utf-8", "replace"))), ensure_ascii=False)
    except salvage.Unreadable:
        return text(value)


def _is_operation(value: Mapping[str, Any], *, secret: bool) -> bool:
    """Tell whether it is an operation of a JSON patch (RFC 6902) on a secret, or on what has a credential's name."""
    if "op" not in value or "path" not in value:
        return False
    path = value["path"]
    return secret or (isinstance(path, str) and (credentials.is_name(path) or path.endswith(_COPY_IN_A_PATH)))


def storable_json(value: Any) -> Any:
    """Return parsed JSON as a database can hold it, with nothing hidden."""
    if isinstance(value, dict):
        return {storable(key): storable_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [storable_json(each) for each in value]
    return storable(value) if isinstance(value, str) else value
