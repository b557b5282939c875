"""The catalogue of capabilities, read from `data/capabilities.toml`; that file explains itself."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any

from alerts.rbac.actions import Action, known
from alerts.rbac.capability import ANY_GROUP, ANY_RESOURCE, ANY_VERB, Capability, Category, Way

STAR = "*"
# Kinds outside namespaces that Kubernetes itself does not serve.
CLUSTER_SCOPED = frozenset(
    {
        "clusteradmissionpolicies", "clusterpolicies", "constrainttemplates", "validatingpolicies",
        "clusterworkflowtemplates", "objects", "releases",
        "groups", "identities", "oauthaccesstokens", "oauthauthorizetokens", "useridentitymappings",
    }
)  # fmt: skip


def load(text: str) -> tuple[Capability, ...]:
    """Read a catalogue, in order of the numbers.

    Raises KeyError or ValueError where it is not well-formed.
    """
    table = tomllib.loads(text)
    powerful = {key: frozenset(names) for key, names in table.pop("powerful").items()}
    capabilities = (
        Capability(
            row["number"],
            key,
            row["title"],
            Category(row["category"]),
            row["base"],
            tuple(row["techniques"]),
            row["reason"],
            tuple(_way(way, row["base"], powerful) for way in row.get("ways", ())),
            tuple(row.get("paths", ())),
        )
        for key, row in table.items()
    )
    return tuple(sorted(capabilities, key=lambda capability: capability.number))


def _way(way: Mapping[str, Any], base: int, powerful: Mapping[str, frozenset[str]]) -> Way:
    needs = [way["any"]] if "any" in way else way["all"]
    return Way(
        tuple(tuple(_actions(need)) for need in needs),
        way.get("base", base),
        tuple(_actions(way.get("companions", ()))),
        powerful[way["powerful"]] if "powerful" in way else frozenset(),
        frozenset(way.get("namespaces", ())),
    )


def _actions(phrases: Iterable[str]) -> Iterator[Action]:
    """Yield the actions of phrases such as `create, update on jobs, cronjobs in batch`."""
    for phrase in phrases:
        verbs, on, rest = phrase.partition(" on ")
        if not on:
            raise ValueError(f"not an action: {phrase!r}")
        resources, _, group = rest.partition(" in ")
        group = ANY_GROUP if group == STAR else group
        for written in resources.split(", "):
            resource, _, subresource = written.partition("/")
            namespaced = _namespaced(group, resource)
            for verb in verbs.split(", "):
                yield Action(
                    group,
                    ANY_RESOURCE if resource == STAR else resource,
                    subresource,
                    ANY_VERB if verb == STAR else verb,
                    # A RoleBinding may refer to a ClusterRole, which is checked in the binding's own namespace; and a
                    # namespace is an object in itself (pkg/registry/rbac/rolebinding; RequestInfo).
                    namespaced or (resource, verb) == ("clusterroles", "bind") or resource == "namespaces",
                )


def _namespaced(group: str, resource: str) -> bool:
    universe = known()
    bits = universe.resources.get(resource, 0) & universe.groups.get(group, 0)
    return bool(bits & universe.namespaced) if bits else resource not in CLUSTER_SCOPED


CAPABILITIES = load(files("alerts.rbac").joinpath("data/capabilities.toml").read_text(encoding="utf-8"))
BY_ID = {capability.id: capability for capability in CAPABILITIES}
