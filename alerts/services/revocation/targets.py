"""What goes: the very objects a plan takes away, each pinned to its uid and resourceVersion and kept as it was."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from alerts import rbac
from alerts.audit.visible import storable
from alerts.cluster.api import ClusterAPI
from alerts.cluster.kinds import ObjectReference
from alerts.models import AccessObject, Alert, Revocation

type Manifest = dict[str, Any]
type Action = Literal["delete", "empty", "unlabel"]

BINDING_KINDS = ("ClusterRoleBinding", "RoleBinding")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One object of a plan. Where the cluster could not be asked, uid and version may be unknown ("").

    `manifest` is its JSON as text, so that its `sha256` can be checked and characters that a database refuses stay
    escapes. `name` and `namespace` are as they can be stored; the exact ones are in the manifest.
    """

    action: Action
    kind: str
    namespace: str
    name: str
    uid: str
    resource_version: str
    manifest: str
    sha256: str
    merge: dict[str, Any] = {}

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        action: Action = "delete",
        merge: dict[str, Any] | None = None,
        *,
        versioned: bool = True,
    ) -> "Target":
        """Pin an object as it stands; `merge` is the merge patch of what is not deleted.

        Not `versioned`, it is pinned by its uid alone: the status of what runs changes all the time.
        """
        metadata = manifest["metadata"]
        text = json.dumps(manifest, sort_keys=True)
        return cls(
            action=action,
            kind=manifest["kind"],
            namespace=storable(metadata.get("namespace", "")),
            name=storable(metadata["name"]),
            uid=metadata.get("uid", ""),
            resource_version=metadata.get("resourceVersion", "") if versioned else "",
            manifest=text,
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            merge=merge or {},
        )

    @property
    def content(self) -> Manifest:
        """The manifest, parsed."""
        content: Manifest = json.loads(self.manifest)
        return content

    @property
    def reference(self) -> ObjectReference:
        """Where the object is, by its exact name."""
        return ObjectReference.of(self.content)

    @property
    def binding(self) -> bool:
        """Whether it is a binding."""
        return self.kind in BINDING_KINDS

    def taken_from(self, live: Manifest) -> bool:
        """Tell whether what the merge patch takes away is gone from the object as it is now."""
        if self.action == "empty":
            return not live.get("rules")
        labels = live["metadata"].get("labels") or {}
        return self.action == "unlabel" and labels.keys().isdisjoint(self.merge["metadata"]["labels"])

    @property
    def key(self) -> str:
        """What names it among the objects of a plan."""
        return "/".join((self.kind, self.namespace, self.name))

    def __str__(self) -> str:
        return f"{self.kind} {f'{self.namespace}/' if self.namespace else ''}{self.name}"


def of(revocation: Revocation) -> list[Target]:
    """Return the objects of a plan, in the order in which they go."""
    return msgspec.convert(revocation.plan, list[Target])


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What a person chose about a plan; None leaves it as it was, or all bindings and the usual order.

    `bindings` are the keys of those to unbind, `role_first` has the role go before its bindings, and `labels_only`
    takes the labels off a role by which it feeds others, rather than its rules.
    """

    bindings: tuple[str, ...] | None = None
    role_first: bool | None = None
    labels_only: bool | None = None


@dataclass(frozen=True)
class Surroundings:
    """The roles and bindings of a cluster at one moment, and which of them an alert is about."""

    manifests: tuple[Manifest, ...]
    role: Manifest | None
    bindings: tuple[Manifest, ...]


def survey(api: ClusterAPI, about: AccessObject) -> Surroundings:
    """Read every role and binding of the cluster, and find a role with the bindings that refer to it.

    A binding is found by itself, without its role. Raises ClusterError.
    """
    kinds = ("ClusterRole", "Role", *BINDING_KINDS)
    manifests = tuple(manifest for kind in kinds for manifest in api.list_all(kind))
    if about.kind in BINDING_KINDS:
        named = (each for each in manifests if _named(each, about.kind, about.namespace, about.name))
        return Surroundings(manifests, None, tuple(named))
    role = next((each for each in manifests if _named(each, about.kind, about.namespace, about.name)), None)
    bindings = referring(manifests, about.kind, about.namespace, about.name)
    return Surroundings(manifests, role, bindings)


def referring(manifests: Iterable[Manifest], kind: str, namespace: str, name: str) -> tuple[Manifest, ...]:
    """Return the bindings that refer to a role: ClusterRoleBindings first, then by namespace and name."""
    found = [
        manifest
        for manifest in manifests
        if manifest["kind"] in BINDING_KINDS
        and _refers(manifest, kind, name)
        and (kind == "ClusterRole" or storable(manifest["metadata"].get("namespace", "")) == namespace)
    ]
    return tuple(sorted(found, key=lambda each: (each["metadata"].get("namespace", ""), each["metadata"]["name"])))


def choose(
    found: Surroundings, mode: str, chosen: Collection[str] = (), *, role_first: bool = False, labels_only: bool = False
) -> list[Target]:
    """Return what goes in that mode, in order: bindings before the role, so that every state between is a visible one.

    `chosen` are the keys of the bindings to unbind. With `role_first` one call ends every grant, and no holder who may
    write bindings can outrun us.
    """
    role = found.role
    if mode == Revocation.Mode.CONTAIN:
        if role is None:
            return []
        if labels_only:
            labels = feeding_labels(found)
            return [Target.of(role, "unlabel", {"metadata": {"labels": dict.fromkeys(labels)}})] if labels else []
        return [Target.of(role, "empty", {"rules": []})] if role.get("rules") else []
    bindings = [Target.of(binding) for binding in found.bindings]
    if mode == Revocation.Mode.UNBIND:
        return [target for target in bindings if target.key in chosen]
    roles = [Target.of(role)] if role else []
    return roles + bindings if role_first else bindings + roles


def feeding_labels(found: Surroundings) -> tuple[str, ...]:
    """Return the labels to take off the role so that it feeds no other: one for each selector that matches it.

    Empty where it feeds none, or where no taking off of labels would end that.
    """
    if found.role is None:
        return ()
    labels = dict(found.role["metadata"].get("labels") or {})
    own = found.role["metadata"]["name"]
    selectors = [
        rbac.Selector.of_manifest(selector)
        for manifest in found.manifests
        if manifest["kind"] == "ClusterRole" and manifest["metadata"]["name"] != own
        for selector in (manifest.get("aggregationRule") or {}).get("clusterRoleSelectors") or ()
    ]
    taken: dict[str, None] = {}
    for selector in selectors if found.role["kind"] == "ClusterRole" else ():
        if selector.matches(labels):
            key = next((need.key for need in selector.requirements if need.operator in {"In", "Exists"}), None)
            if key is not None and labels.pop(key, None) is not None:
                taken[key] = None
    return () if any(selector.matches(labels) for selector in selectors) else tuple(taken)


def digest(alert: Alert, mode: str, targets: Iterable[Target], warnings: Iterable[str]) -> str:
    """Return the hash of what a person agrees to: the objects, what happens to them, and what was warned of."""
    content = [alert.pk, mode, msgspec.to_builtins(list(targets)), list(warnings)]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _named(manifest: Mapping[str, Any], kind: str, namespace: str, name: str) -> bool:
    metadata = manifest["metadata"]
    return (
        manifest["kind"] == kind
        and storable(metadata["name"]) == name
        and storable(metadata.get("namespace", "")) == namespace
    )


def _refers(manifest: Mapping[str, Any], kind: str, name: str) -> bool:
    reference = manifest.get("roleRef") or {}
    return reference.get("kind") == kind and storable(str(reference.get("name", ""))) == name
