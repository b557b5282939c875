"""The least rules that would do: made from the requests somebody was seen to make."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import yaml

from alerts.rbac.request import Request
from alerts.rbac.rules import Rule, RuleSet

MANY_NAMES = 20
ORDER = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


def least(requests: Iterable[Request], *, by_name: bool = True) -> RuleSet:
    """Return the smallest rules that permit just these requests, whatever their namespaces.

    Objects are named where `by_name` holds, no more than twenty of a kind were touched, and Kubernetes can limit the
    verb by name at all: create and deletecollection name no object, and a list of everything none either.
    """
    named: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    urls: defaultdict[str, set[str]] = defaultdict(set)
    for request in requests:
        if request.path is not None:
            urls[request.path].add(request.verb)
            continue
        written = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
        named[request.group, written, request.verb].add(_name(request))
    verbs: defaultdict[tuple[str, str, tuple[str, ...]], set[str]] = defaultdict(set)
    for (group, written, verb), names in named.items():
        limited = by_name and "" not in names and len(names) <= MANY_NAMES
        verbs[group, written, tuple(sorted(names)) if limited else ()].add(verb)
    resources: defaultdict[tuple[str, tuple[str, ...], tuple[str, ...]], set[str]] = defaultdict(set)
    for (group, written, limit), found in verbs.items():
        resources[group, limit, _ordered(found)].add(written)
    paths: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for url, found in urls.items():
        paths[_ordered(found)].add(url)
    return RuleSet(
        (
            *(
                Rule(ordered, (group,), tuple(sorted(written)), limit)
                for (group, limit, ordered), written in sorted(resources.items())
            ),
            *(Rule(ordered, urls=tuple(sorted(found))) for ordered, found in sorted(paths.items())),
        )
    )


def least_manifests(requests: Iterable[Request], name: str, *, by_name: bool = True) -> list[dict[str, Any]]:
    """Return the roles that permit just these requests: a Role per namespace, a ClusterRole for what is in none."""
    by_namespace: defaultdict[str, list[Request]] = defaultdict(list)
    for request in requests:
        by_namespace[request.namespace if request.path is None else ""].append(request)
    manifests: list[dict[str, Any]] = []
    for namespace, seen in sorted(by_namespace.items()):
        metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
        manifests.append(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "Role" if namespace else "ClusterRole",
                "metadata": metadata,
                "rules": least(seen, by_name=by_name).manifest(),
            }
        )
    return manifests


def least_yaml(requests: Iterable[Request], name: str, *, by_name: bool = True) -> str:
    """Return the same roles as YAML, ready for kubectl."""
    return str(
        yaml.safe_dump_all(least_manifests(requests, name, by_name=by_name), sort_keys=False, allow_unicode=True)
    )


def _name(request: Request) -> str:
    # The audit log takes the name of a created object from its body; the authorizer sees none.
    unnameable = request.verb in {"create", "deletecollection"} and not request.subresource
    return "" if unnameable else request.name


def _ordered(verbs: Iterable[str]) -> tuple[str, ...]:
    known = [verb for verb in ORDER if verb in verbs]
    return (*known, *sorted(verb for verb in verbs if verb not in ORDER))
