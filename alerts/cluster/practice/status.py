"""Answers that are not a success, in the words of a Kubernetes API server (apimachinery/pkg/api/errors)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from alerts.cluster.kinds import Kind, Manifest

_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_PRECONDITIONS = {"uid": ("UID", "deleted and then recreated"), "resourceVersion": ("ResourceVersion", "modified")}


def go_quote(text: str) -> str:
    """Return the text as Go's %q prints it, which is how names appear in every message."""
    return f'"{"".join(_go_character(character) for character in text)}"'


def _go_character(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


@dataclass(frozen=True)
class Cause:
    """One thing that is wrong with a field."""

    field: str
    reason: str
    message: str


class Refusal(Exception):
    """An answer other than a success, with its Status object; `unread` if it came before the body was looked at."""

    def __init__(
        self, code: int, reason: str, message: str, details: Manifest | None = None, *, unread: bool = False
    ) -> None:
        super().__init__(message)
        self.code, self.unread = code, unread
        self.status: Manifest = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": message,
            **({"reason": reason} if reason else {}),
            **({"details": details} if details is not None else {}),
            "code": code,
        }


def _qualified(word: str, kind: Kind) -> str:
    return f"{word}.{kind.group}" if kind.group else word


def _details(name: str, group: str, word: str) -> Manifest:
    parts = {"name": name, "group": group, "kind": word}
    return {key: value for key, value in parts.items() if value}


def unauthorized() -> Refusal:
    """The token is unknown."""
    return Refusal(401, "Unauthorized", "Unauthorized")


def bad_request(message: str) -> Refusal:
    """The request cannot be understood."""
    return Refusal(400, "BadRequest", message)


def no_such_resource() -> Refusal:
    """Nothing is served at this path of a known group."""
    return Refusal(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> Refusal:
    """The resource does not know the method."""
    message = "the server does not allow this method on the requested resource"
    return Refusal(405, "MethodNotAllowed", message, {}, unread=True)


def not_found(kind: Kind, name: str) -> Refusal:
    """There is no such object."""
    message = f"{_qualified(kind.plural, kind)} {go_quote(name)} not found"
    return Refusal(404, "NotFound", message, _details(name, kind.group, kind.plural))


def already_exists(kind: Kind, name: str) -> Refusal:
    """An object of this name exists."""
    message = f"{_qualified(kind.plural, kind)} {go_quote(name)} already exists"
    return Refusal(409, "AlreadyExists", message, _details(name, kind.group, kind.plural))


def precondition_failed(kind: Kind, found: Manifest, field: str, asked: str) -> Refusal:
    """A delete's precondition on "uid" or "resourceVersion" does not hold (apiserver/pkg/registry/rest/delete.go).

    Here the message has the kind where others have the plural.
    """
    metadata = found["metadata"]
    title, guess = _PRECONDITIONS[field]
    message = (
        f"Operation cannot be fulfilled on {_qualified(kind.name, kind)} {go_quote(metadata['name'])}: "
        f"the {title} in the precondition ({asked}) does not match the {title} in record ({metadata[field]}). "
        f"The object might have been {guess}"
    )
    return Refusal(409, "Conflict", message, _details(metadata["name"], kind.group, kind.name))


def modified(kind: Kind, name: str) -> Refusal:
    """An update names another resourceVersion."""
    message = (
        f"Operation cannot be fulfilled on {_qualified(kind.plural, kind)} {go_quote(name)}: "
        "the object has been modified; please apply your changes to the latest version and try again"
    )
    return Refusal(409, "Conflict", message, _details(name, kind.group, kind.plural))


def other_uid(kind: Kind, found: Manifest, asked: str) -> Refusal:
    """An update names another uid (apiserver/pkg/storage/errors.go)."""
    metadata = found["metadata"]
    name, namespace = metadata["name"], metadata.get("namespace", "")
    key = "/".join(part for part in ("/registry", kind.plural, namespace, name) if part)
    message = (
        f"Operation cannot be fulfilled on {_qualified(kind.plural, kind)} {go_quote(name)}: StorageError: "
        f"invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: "
        f"UID in precondition: {asked}, UID in object meta: {metadata['uid']}"
    )
    return Refusal(409, "Conflict", message, _details(name, kind.group, kind.plural))


def apply_conflict(conflicts: Sequence[tuple[str, str]]) -> Refusal:
    """A server-side apply would change fields of another manager; `conflicts` are pairs of manager and field."""
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {manager}", "field": field}
        for manager, field in conflicts
    ]
    if len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        lines = [f"Apply failed with {len(causes)} conflicts: "]
        for manager in dict(conflicts):
            fields = [f"\n- {field}" for other, field in conflicts if other == manager]
            lines.append(f"conflicts with {manager}:{''.join(fields)}")
        message = lines[0] + "\n".join(lines[1:])
    return Refusal(409, "Conflict", message, {"causes": causes})


def unsupported_media_type() -> Refusal:
    """The patch is of a type that is not served."""
    return Refusal(415, "UnsupportedMediaType", "415: Unsupported Media Type", {}, unread=True)


def forbidden(kind: Kind, name: str, why: str) -> Refusal:
    """The request is understood and refused for a reason of its own."""
    return forbidden_resource(kind.group, kind.plural, name, why)


def forbidden_resource(group: str, resource: str, name: str, why: str) -> Refusal:
    """The same for a resource that need not be one of ours."""
    qualified = f"{resource}.{group}" if group else resource
    subject = f"{qualified} {go_quote(name)}" if name else qualified
    return Refusal(403, "Forbidden", f"{subject} is forbidden: {why}", _details(name, group, resource))


def invalid(kind: Kind, name: str, causes: Sequence[Cause], *, unread: bool = False) -> Refusal:
    """The object breaks rules of its kind."""
    sentences = dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes)  # each is said once
    listed = ", ".join(sentences)
    message = (
        f"{_qualified(kind.name, kind)} {go_quote(name)} is invalid: {listed if len(sentences) == 1 else f'[{listed}]'}"
    )
    details: dict[str, Any] = _details(name, kind.group, kind.name)
    details["causes"] = [{"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes]
    return Refusal(422, "Invalid", message, details, unread=unread)
