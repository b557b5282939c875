"""What is never taken away, however it is asked for: what Kubernetes itself ships and needs."""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from alerts import rbac
from alerts.models import Revocation
from alerts.services.revocation.targets import Surroundings, Target

LABEL = "kubernetes.io/bootstrapping"
ANNOTATION = "rbac.authorization.kubernetes.io/autoupdate"
_DEFAULT_BINDINGS = ("cluster-admin",)  # all others begin with system:


class Refusal(msgspec.Struct, frozen=True):
    """Why a plan will not be run, and what can be done instead."""

    text: str
    alternative: str


def protection(manifest: Mapping[str, Any]) -> str:
    """Return what protects an object, as the end of a sentence, or the empty string.

    The API server puts back what carries these marks (pkg/registry/rbac/reconciliation), and a cluster without its
    default roles fails in ways nobody can trace.
    """
    metadata = manifest["metadata"]
    name = metadata["name"]
    if name.startswith("system:"):
        return "its name begins with system:, which Kubernetes keeps for itself"
    if name in _defaults(manifest["kind"]):
        return "Kubernetes ships it"
    if (metadata.get("labels") or {}).get(LABEL) == "rbac-defaults":
        return f"it carries the label {LABEL}=rbac-defaults"
    if ANNOTATION in (metadata.get("annotations") or {}):
        return f"it carries the annotation {ANNOTATION}"
    return ""


def shipped(manifest: Mapping[str, Any]) -> bool:
    """Tell whether Kubernetes itself made an object of this name, so that nobody should be told how to delete it."""
    metadata = manifest["metadata"]
    name, marked = metadata["name"], (metadata.get("labels") or {}).get(LABEL) == "rbac-defaults"
    return name in _defaults(manifest["kind"]) or (name.startswith("system:") and marked)


def _defaults(kind: str) -> Collection[str]:
    return rbac.default_roles() if kind == "ClusterRole" else _DEFAULT_BINDINGS


def refusals(mode: str, found: Surroundings, targets: Iterable[Target]) -> list[Refusal]:
    """Return why this plan must not run: a refusal for each protected object in it, and for a way that is no way."""
    refused = [
        Refusal(f"{target} stays: {why}.", _alternative(target, why))
        for target in targets
        if (why := protection(target.content))
    ]
    aggregated = found.role is not None and found.role.get("aggregationRule")
    if mode == Revocation.Mode.CONTAIN and aggregated:
        refused.append(
            Refusal(
                "An aggregated role cannot be contained: Kubernetes fills it again from the roles that its selectors "
                f"match ({json.dumps(found.role and found.role['aggregationRule'])}).",
                "Revoke the role that feeds it, take the label off that role, or revoke this one with its bindings.",
            )
        )
    return refused


def _alternative(target: Target, why: str) -> str:
    if shipped(target.content):
        return (
            "Unbind only what somebody added."
            if target.binding
            else "Unbind what somebody added to it, and compare its rules with those that Kubernetes ships."
        )
    if why.startswith("it carries"):
        return (
            "If somebody put that mark there to protect it, take it off by hand and plan again; "
            "or unbind: without bindings the role gives nothing."
        )
    return (
        "Kubernetes ships none of this name: if nothing you know needs it, delete it with the commands under "
        "“The same by hand”."
    )
