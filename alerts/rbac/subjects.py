"""Whom permissions are given to: users, groups and service accounts, and the groups each is in without being told."""

from collections.abc import Mapping
from typing import Any

import msgspec

ANONYMOUS = "system:anonymous"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
SERVICE_ACCOUNTS = "system:serviceaccounts"
MASTERS = "system:masters"
_ACCOUNT = "system:serviceaccount:"

PUBLIC = frozenset({ANONYMOUS, UNAUTHENTICATED})
EVERYBODY = frozenset({AUTHENTICATED, SERVICE_ACCOUNTS})


class Subject(msgspec.Struct, frozen=True, order=True):
    """A subject of a binding. `kind` is User, Group or ServiceAccount; only service accounts have a namespace."""

    kind: str
    name: str
    namespace: str = ""

    @classmethod
    def of_user(cls, username: str) -> "Subject":
        """Return who a user name stands for: `system:serviceaccount:ns:name` is that service account."""
        if username.startswith(_ACCOUNT):
            namespace, colon, name = username.removeprefix(_ACCOUNT).partition(":")
            if namespace and colon and name and ":" not in name:
                return cls("ServiceAccount", name, namespace)
        return cls("User", username)

    @classmethod
    def of_manifest(cls, subject: Mapping[str, Any], namespace: str) -> "Subject | None":
        """Return the subject of a binding in that namespace ("" for a ClusterRoleBinding), or None if it names nobody.

        A service account without a namespace is one of the binding's own (appliesToUser in
        pkg/registry/rbac/validation/rule.go); a user that is a service account's name is that service account.
        """
        kind, name = subject.get("kind"), subject.get("name")
        if not isinstance(name, str):
            return None
        if kind == "ServiceAccount":
            home = subject.get("namespace") or namespace
            return cls("ServiceAccount", name, home) if isinstance(home, str) and home else None
        if kind == "User":
            return cls.of_user(name)
        return cls("Group", name) if kind == "Group" else None

    @property
    def username(self) -> str:
        """The user name that requests carry; "" for a group."""
        if self.kind == "ServiceAccount":
            return f"{_ACCOUNT}{self.namespace}:{self.name}"
        return self.name if self.kind == "User" else ""

    @property
    def implicit_groups(self) -> tuple[str, ...]:
        """The groups Kubernetes puts this subject in by itself. A group is in itself, and its members are known."""
        if self.kind == "ServiceAccount":
            return SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{self.namespace}", AUTHENTICATED
        if self.kind == "User":
            if self.name == ANONYMOUS:
                return (UNAUTHENTICATED,)
            return ("system:nodes", AUTHENTICATED) if self.name.startswith("system:node:") else (AUTHENTICATED,)
        if self.name.startswith(f"{SERVICE_ACCOUNTS}:"):
            return self.name, SERVICE_ACCOUNTS, AUTHENTICATED
        if self.name in {AUTHENTICATED, UNAUTHENTICATED}:
            return (self.name,)
        return self.name, AUTHENTICATED

    @property
    def public(self) -> bool:
        """Whether nobody needs to log in to be this subject."""
        return self.name in PUBLIC and self.kind in {"User", "Group"}

    @property
    def everybody(self) -> bool:
        """Whether every user or every service account is this subject."""
        return self.name in EVERYBODY and self.kind == "Group"

    def __str__(self) -> str:
        if self.kind == "ServiceAccount":
            return f"service account {self.namespace}/{self.name}"
        return f"{self.kind.lower()} {self.name}"
