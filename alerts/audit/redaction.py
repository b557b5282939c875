"""Events as they may be kept: secrets and tokens taken out, and everything in a form that a database can hold."""

import json
import re
from typing import Any

from alerts.audit import salvage
from alerts.audit.event import Event
from alerts.audit.visible import storable

HIDDEN = "[redacted]"
UNREADABLE = "[unreadable]"

# Their content is the secret, whatever its form: an object, a list of them, or any of the patch types.
_SECRET_RESOURCES = frozenset({("", "secrets"), ("", "configmaps")})
_SECRET_KINDS = frozenset({"Secret", "SecretList", "ConfigMap", "ConfigMapList"})
_CONTENT = frozenset({"data", "stringData", "binaryData"})
# kubectl apply copies the whole object here.
_COPY = "kubectl.kubernetes.io/last-applied-configuration"
# TokenRequest and TokenReview, kubeconfigs, and what people put into headers and arguments; with - for _.
_CREDENTIALS = frozenset(
    {"token", "authorization", "proxy-authorization", "password", "passwd", "bearertoken", "id-token", "access-token",
     "refresh-token", "client-secret", "clientsecret", "client-key-data", "private-key", "api-key", "apikey",
     "x-api-key", "x-auth-token", "cookie"}
)  # fmt: skip
# Of an environment variable, or of an argument such as a chart's value
_CREDENTIAL_NAME = re.compile(r"(?i)passw(?:or)?d|secret|token|credential|api_?key|private_?key")
_GAP = r"(?:\s|\+|%20)"
_IN_TEXT = re.compile(
    r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*"  # a JSON web token
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.)*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    rf"|(?i:\bauthorization(?::|=|%3a|%3d){_GAP}*(?:(?:bearer|basic|token){_GAP}+)?)[^\s&\"'+]+"
    rf"|(?i:\bbearer{_GAP}+)(?=[\w.~/%=-]*\d)[\w.~/%=-]{{8,}}"
    r"|(?i:\b(?:access_token|id_token|token|password|passwd|client_secret|secret_access_key|api_key)(?:=|%3d))[^\s&\"']+"
)
# The words before what is hidden stay, so that one sees what was there.
_LEAD = re.compile(
    rf"(?i)\A(?:authorization(?::|=|%3a|%3d){_GAP}*(?:(?:bearer|basic|token){_GAP}+)?|bearer{_GAP}+|\w+(?:=|%3d))"
)
# In lower case and with - for _: each of the names above is one of these, and each pattern needs one of the parts.
_STRINGS = frozenset(name.encode() for name in _CREDENTIALS | {kind.lower() for kind in _SECRET_KINDS} | {"value"})
_PARTS = (
    b"authorization:", b"authorization=", b"authorization%3", b"token=", b"token%3d", b"passw", b"client-secret",
    b"secret-access-key", b"api-key", b"bearer", b"eyj", b"-----begin", b"last-applied-configuration",
)  # fmt: skip


def text(value: str) -> str:
    """Return the text without tokens and authorization headers, as a database can hold it."""
    # One word, as most are: every token and header has something else between its letters.
    return value if value.isalnum() else storable(_IN_TEXT.sub(_hidden, value))


def _hidden(match: re.Match[str]) -> str:
    lead = _LEAD.match(match[0])
    return (lead[0] if lead else "") + HIDDEN


def redacted(event: Event) -> dict[str, Any]:
    """Return the whole event as JSON that may be kept; of a damaged one, whatever can be read."""
    secret = (event.group, event.resource) in _SECRET_RESOURCES
    try:
        content: dict[str, Any] = salvage.parse(event.raw)
    except salvage.Unreadable:
        content = {key: _readable(event.raw, start, end) for key, start, end in salvage.members(event.raw)}
    else:
        if not secret and _is_harmless(event.raw):
            return content
    return {
        text(key): manifest(value, secret=secret and key in {"requestObject", "responseObject"})
        for key, value in content.items()
    }


def _is_harmless(raw: bytes) -> bool:
    """Tell whether there is nothing to hide in sound JSON and nothing that a database refuses, as in most of it.

    Only of plain text: what is escaped may be any of it, and so may other letters that are the same in lower case.
    """
    if not raw.isascii() or b"\\u" in raw:
        return False
    plain = raw.lower().replace(b"_", b"-")
    return _STRINGS.isdisjoint(plain.split(b'"')) and not any(part in plain for part in _PARTS)


def _readable(raw: bytes, start: int, end: int | None) -> Any:
    try:
        return salvage.parse(raw[start:end])
    except salvage.Unreadable:
        return UNREADABLE


def manifest(value: Any, *, secret: bool = False) -> Any:
    """Return parsed JSON that may be kept. `secret` says that what it holds is the content of a secret."""
    if isinstance(value, dict):
        kind = value.get("kind")
        # Whoever writes a body may put anything there.
        secret = secret or (isinstance(kind, str) and kind in _SECRET_KINDS)
        variable = "value" in value and bool(_CREDENTIAL_NAME.search(str(value.get("name", ""))))
        return {
            text(key): HIDDEN if variable and key == "value" else _member(key, each, secret=secret)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_operation(each) if secret and _is_operation(each) else manifest(each, secret=secret) for each in value]
    return text(value) if isinstance(value, str) else value


def _member(key: str, value: Any, *, secret: bool) -> Any:
    if secret and (key in _CONTENT or key == _COPY):
        return {text(name): HIDDEN for name in value} if isinstance(value, dict) else HIDDEN
    if key.lower().replace("_", "-") in _CREDENTIALS and isinstance(value, str | list) and value:
        return HIDDEN
    if key == _COPY and isinstance(value, str):
        return _copy(value)
    return manifest(value, secret=secret)


def _copy(value: str) -> str:
    try:
        return json.dumps(manifest(salvage.parse(value.encode("utf-8", "replace"))), ensure_ascii=False)
    except salvage.Unreadable:
        return text(value)


def _is_operation(value: Any) -> bool:
    """Tell whether it is an operation of a JSON patch (RFC 6902)."""
    return isinstance(value, dict) and "op" in value and "path" in value


def _operation(operation: dict[str, Any]) -> dict[str, Any]:
    return {text(key): HIDDEN if key == "value" else manifest(each) for key, each in operation.items()}


def storable_json(value: Any) -> Any:
    """Return parsed JSON as a database can hold it, with nothing hidden."""
    if isinstance(value, dict):
        return {storable(key): storable_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [storable_json(each) for each in value]
    return storable(value) if isinstance(value, str) else value
