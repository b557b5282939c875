"""Roles and bindings as they stand in parsed manifests."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import msgspec

from alerts.rbac.rules import InvalidRules, RuleSet, parse
from alerts.rbac.selectors import Selector
from alerts.rbac.subjects import Subject

NOTHING: Mapping[str, str] = MappingProxyType({})
DEFAULTS_LABEL = "kubernetes.io/bootstrapping"


class RoleRef(msgspec.Struct, frozen=True, order=True):
    """Which role: its kind (ClusterRole or Role), its name and, for a Role, its namespace."""

    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True)
class Role:
    """A ClusterRole or a Role. `selectors` is None unless it is aggregated, and takes the rules of what they match."""

    ref: RoleRef
    rules: RuleSet = field(default_factory=RuleSet)
    labels: Mapping[str, str] = NOTHING
    annotations: Mapping[str, str] = NOTHING
    finalizers: tuple[str, ...] = ()
    uid: str = ""
    selectors: tuple[Selector, ...] | None = None

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any]) -> "Role":
        """Read a role.

        Raises InvalidRules where its rules, name or labels are of the wrong type.
        """
        kind = manifest.get("kind")
        metadata = _metadata(manifest)
        namespace = _text(metadata, "namespace") if kind == "Role" else ""
        aggregation = manifest.get("aggregationRule")
        selectors = None
        if kind == "ClusterRole" and isinstance(aggregation, Mapping):
            selectors = tuple(map(Selector.of_manifest, _listed(aggregation, "clusterRoleSelectors")))
        return cls(
            RoleRef(str(kind), _text(metadata, "name"), namespace),
            parse(manifest.get("rules")),
            _texts(metadata, "labels"),
            _texts(metadata, "annotations"),
            tuple(map(str, _listed(metadata, "finalizers"))),
            _text(metadata, "uid"),
            selectors,
        )

    @property
    def default(self) -> bool:
        """Whether Kubernetes itself ships the role, by its label."""
        return self.labels.get(DEFAULTS_LABEL) == "rbac-defaults"

    @property
    def opted_out(self) -> bool:
        """Whether the API server is told not to put the role back as it ships it."""
        return self.annotations.get("rbac.authorization.kubernetes.io/autoupdate") == "false"


class Binding(msgspec.Struct, frozen=True):
    """A ClusterRoleBinding, or a RoleBinding with its namespace: it gives its subjects the role it refers to."""

    kind: str
    name: str
    namespace: str
    role: RoleRef
    subjects: tuple[Subject, ...] = ()
    uid: str = ""

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any]) -> "Binding":
        """Read a binding. Subjects that can be nobody are left out.

        Raises InvalidRules where it has no roleRef or a name is of the wrong type.
        """
        kind = str(manifest.get("kind"))
        metadata = _metadata(manifest)
        namespace = _text(metadata, "namespace") if kind == "RoleBinding" else ""
        reference = manifest.get("roleRef")
        if not isinstance(reference, Mapping):
            raise InvalidRules("roleRef must be a mapping")
        role_kind = _text(reference, "kind")
        role = RoleRef(role_kind, _text(reference, "name"), namespace if role_kind == "Role" else "")
        listed = (subject for subject in _listed(manifest, "subjects") if isinstance(subject, Mapping))
        found = (Subject.of_manifest(subject, namespace) for subject in listed)
        subjects = tuple(dict.fromkeys(subject for subject in found if subject is not None))
        return cls(kind, _text(metadata, "name"), namespace, role, subjects, _text(metadata, "uid"))

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def _metadata(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = manifest.get("metadata")
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise InvalidRules("metadata must be a mapping")
    return metadata


def _listed(values: Mapping[str, Any], key: str) -> Sequence[Any]:
    listed = values.get(key) or ()
    if not isinstance(listed, list | tuple):
        raise InvalidRules(f"{key} must be a list")
    return listed


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidRules(f"{key} must be a string")
    return value


def _texts(metadata: Mapping[str, Any], key: str) -> Mapping[str, str]:
    values = metadata.get(key)
    if values is None:
        return NOTHING
    if not isinstance(values, Mapping) or not _all_text(values.items()):
        raise InvalidRules(f"metadata.{key} must map strings to strings")
    return values


def _all_text(items: Iterable[tuple[Any, Any]]) -> bool:
    return all(isinstance(key, str) and isinstance(value, str) for key, value in items)
