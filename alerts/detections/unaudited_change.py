"""A role or binding changed on the cluster, and no audit event says so.

The stream lost the event, was made to lose it (a malformed patch or an endless audit ID beside it), or somebody wrote
past the API server, straight into etcd. ATT&CK: T1562.012, Disable or Modify Linux Audit System, is the closest.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alerts import rbac
from alerts.audit.event import metadata_of
from alerts.detections.detection import Finding

NAME = "unaudited_change"
_SHOWN = 40
_USER_FACING = frozenset({"cluster-admin", "admin", "edit", "view"})
# What somebody may do follows from these; of the metadata, from the labels (aggregation).
_CONTENT = ("rules", "subjects", "roleRef", "aggregationRule")

type Manifest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """How an object stood at one time. `manifest` is None where it did not exist, or where nobody knows."""

    uid: str = ""
    resource_version: str = ""
    manifest: Manifest | None = None
    exists: bool = True


def deed(before: Standing | None, after: Standing) -> str:
    """Return what happened to the object, in a word: appeared, changed, replaced or vanished."""
    if not after.exists:
        return "vanished"
    if before is None or not before.exists:
        return "appeared"
    return "replaced" if before.uid and after.uid and before.uid != after.uid else "changed"


def finding(kind: str, namespace: str, name: str, before: Standing | None, after: Standing, *, at: datetime) -> Finding:
    """Return the finding for an object whose standing, seen at that time, no event explains: one for each version."""
    happened = deed(before, after)
    where = f"{kind} {f'{namespace}/' if namespace else ''}{name}"
    title = {
        "appeared": f"{where} appeared without an audit event",
        "changed": f"{where} changed without an audit event",
        "replaced": f"{where} was replaced by another of its name without an audit event",
        "vanished": f"{where} vanished without an audit event",
    }[happened]
    return Finding(
        detection=NAME,
        # Of an object of which nothing but its name was ever known, only the time tells one vanishing from the next.
        # So it is of one that is there again as a version that it was before.
        cause=json.dumps([kind, namespace, name, after.exists, after.uid or at.isoformat(), _version(after, at)]),
        title=title,
        event=None,
        kind=kind,
        namespace=namespace,
        name=name,
        uid=after.uid,
    )


def _version(after: Standing, at: datetime) -> str:
    return after.resource_version or (at.isoformat() if after.exists else "")


def content(manifest: Manifest) -> dict[str, Any]:
    """Return what of a manifest decides who may do what. What is empty counts as absent, as it does to Kubernetes."""
    found = {key: manifest.get(key) for key in _CONTENT} | {"labels": metadata_of(manifest).get("labels")}
    return {key: value for key, value in found.items() if value}


def echoes(before: Manifest, after: Manifest, contributed: Collection[rbac.Rule]) -> bool:
    """Tell whether nothing but its rules changed, and each is one that an aggregated role takes from others.

    `contributed` are the rules of the roles that it selects. That is all the aggregation controller ever does.
    """
    old, new = content(before), content(after)
    if "aggregationRule" not in new or {**old, "rules": None} != {**new, "rules": None}:
        return False
    try:
        had, has = rbac.parse(old.get("rules")), rbac.parse(new.get("rules"))
    except rbac.InvalidRules:
        return False
    return all(rule in contributed or rule in had.rules for rule in has.rules)


def restores_default(after: Manifest, earlier: Collection[Manifest]) -> bool:
    """Tell whether it is a default, just as Kubernetes ships it or as it was at one of the `earlier` times.

    That is what an API server puts back at its start, when its audit stream need not run yet. A default with anything
    else in it is none.
    """
    metadata = metadata_of(after)
    name, labels = str(metadata.get("name", "")), metadata.get("labels")
    if not (name.startswith("system:") or name in _USER_FACING) or not isinstance(labels, Mapping):
        return False
    if labels.get("kubernetes.io/bootstrapping") != "rbac-defaults":
        return False
    return any(content(after) == content(each) for each in earlier) or _ships(after)


def _ships(manifest: Manifest) -> bool:
    try:
        role = rbac.Role.of_manifest(manifest)
    except rbac.InvalidRules:
        return False
    shipped = rbac.default_roles().get(role.ref.name)
    return (
        shipped is not None
        and role.ref == shipped.ref
        and (role.rules, role.labels, role.selectors) == (shipped.rules, shipped.labels, shipped.selectors)
    )


def differences(before: Manifest | None, after: Manifest | None) -> list[tuple[str, str]]:
    """Return what differs, as pairs of "+", "-" or "" and a text; before or after, the object may not have existed."""
    old, new = content(before or {}), content(after or {})
    lines = [*_rules(old, new), *_others(old, new)]
    more = [("", f"and {len(lines) - _SHOWN} more")] if len(lines) > _SHOWN else []
    return [*lines[:_SHOWN], *more]


def _rules(old: Manifest, new: Manifest) -> Iterator[tuple[str, str]]:
    try:
        compared = rbac.compare(old.get("rules") or [], new.get("rules") or [])
    except rbac.InvalidRules:
        yield "", "its rules cannot be read"
        return
    yield from (("+", part.text) for part in compared.gains)
    yield from (("-", part.text) for part in compared.losses)
    if compared.cut_off:
        yield "", compared.cut_off


def _others(old: Manifest, new: Manifest) -> Iterator[tuple[str, str]]:
    for label, read in (("subject", _subjects), ("label", _labels), ("role", _role), ("aggregates", _aggregated)):
        had, has = read(old), read(new)
        yield from (("+", f"{label} {text}") for text in has if text not in had)
        yield from (("-", f"{label} {text}") for text in had if text not in has)


def _subjects(found: Manifest) -> list[str]:
    listed = found.get("subjects")
    subjects = [each for each in listed if isinstance(each, Mapping)] if isinstance(listed, list) else []
    return [
        f"{each.get('kind')} {f'{each.get("namespace")}/' if each.get('namespace') else ''}{each.get('name')}"
        for each in subjects
    ]


def _labels(found: Manifest) -> list[str]:
    labels = found.get("labels")
    return [f"{key}={value}" for key, value in labels.items()] if isinstance(labels, Mapping) else []


def _role(found: Manifest) -> list[str]:
    reference = found.get("roleRef")
    return [f"{reference.get('kind')} {reference.get('name')}"] if isinstance(reference, Mapping) else []


def _aggregated(found: Manifest) -> list[str]:
    rule = found.get("aggregationRule")
    return [json.dumps(rule, sort_keys=True)] if rule else []
