"""Which role and binding allowed a request, read from the annotation the RBAC authorizer leaves.

The text is made by the String methods in pkg/registry/rbac/validation/rule.go of Kubernetes, with Go's %q.
"""

import re
from dataclasses import dataclass
from typing import Self

_QUOTED = r'"(?:[^"\\]|\\.)*+"'
_ALLOWED = re.compile(
    rf"RBAC: allowed by (ClusterRoleBinding|RoleBinding) ({_QUOTED}) of (\w+) ({_QUOTED}) to (\w+) ({_QUOTED})",
    re.DOTALL,
)
# strconv.Quote of Go
_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))", re.DOTALL)
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True, slots=True)
class Grant:
    """The binding that allowed a request, the role it refers to, and the subject in it that matched.

    Namespaces are "" where there is none: a ClusterRoleBinding, a ClusterRole, a user or group.
    """

    binding_kind: str
    binding_namespace: str
    binding_name: str
    role_kind: str
    role_namespace: str
    role_name: str
    subject_kind: str
    subject_namespace: str
    subject_name: str

    @classmethod
    def of(cls, reason: str) -> Self | None:
        """Read the annotation `authorization.k8s.io/reason`; None where RBAC allowed nothing there."""
        match = _ALLOWED.fullmatch(reason)
        if match is None:
            return None
        binding_kind, binding, role_kind, role, subject_kind, subject = match.groups()
        # Names hold no slash (path.IsValidPathSegmentName), so the last one stands between a name and its namespace.
        binding_name, binding_namespace = _split(unquoted(binding), namespaced=binding_kind == "RoleBinding")
        subject_name, subject_namespace = _split(unquoted(subject), namespaced=subject_kind == "ServiceAccount")
        return cls(
            binding_kind,
            binding_namespace,
            binding_name,
            role_kind,
            binding_namespace if role_kind == "Role" else "",
            unquoted(role),
            subject_kind,
            subject_namespace,
            subject_name,
        )


def _split(text: str, *, namespaced: bool) -> tuple[str, str]:
    if not namespaced:
        return text, ""
    name, _, namespace = text.rpartition("/")
    return name, namespace


def unquoted(quoted: str) -> str:
    """Return what Go's %q quoted."""
    return _ESCAPE.sub(_character, quoted[1:-1])


def _character(match: re.Match[str]) -> str:
    byte, short, long, letter = match.groups()
    if letter is not None:
        return _LETTERS.get(letter, letter)
    code = int(byte or short or long, 16)
    # \x80 and above is a byte that was no UTF-8, and no character.
    return "\ufffd" if (byte and code > 0x7F) or code > 0x10FFFF or 0xD800 <= code < 0xE000 else chr(code)
