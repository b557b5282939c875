"""What a manifest has to be (pkg/apis/rbac/validation and v1/defaults.go), and the shape it is kept in."""

from collections.abc import Iterator
from typing import Any

from alerts.cluster.kinds import RBAC_KINDS, Kind, Manifest
from alerts.cluster.practice import status
from alerts.cluster.practice.status import Cause
from alerts.rbac import InvalidRules, parse

_GROUP = "rbac.authorization.k8s.io"
_RULE_FIELDS = ("apiGroups", "resources", "resourceNames", "nonResourceURLs")  # besides verbs, which are never left out
_ROLE_REF = (("apiGroup", "APIGroup"), ("kind", "Kind"), ("name", "Name"))
_FIELDS = {
    "ClusterRole": ("rules", "aggregationRule"),
    "Role": ("rules",),
    "ClusterRoleBinding": ("subjects", "roleRef"),
    "RoleBinding": ("subjects", "roleRef"),
}


def normalise(kind: Kind, manifest: Manifest) -> Manifest:
    """Return the manifest as the server keeps it: known fields only, defaults filled in.

    Raises Refusal (400) where a field is of the wrong type.
    """
    if not isinstance(manifest.get("metadata", {}), dict):
        raise _malformed(kind, "metadata must be an object")
    kept = {"kind": kind.name, "apiVersion": kind.api_version, "metadata": dict(manifest.get("metadata") or {})}
    if kind.name not in RBAC_KINDS:
        return manifest | kept
    kept |= {field: manifest[field] for field in _FIELDS[kind.name] if manifest.get(field)}
    if "rules" in _FIELDS[kind.name]:
        kept["rules"] = _rules(kind, manifest.get("rules"))
    else:
        kept["roleRef"] = {"apiGroup": _GROUP} | _mapping(kind, "roleRef", manifest.get("roleRef"))
        subjects = manifest.get("subjects") or []
        if subjects:
            kept["subjects"] = [_subject(_mapping(kind, "subjects", subject)) for subject in subjects]
    return kept


def _rules(kind: Kind, rules: Any) -> Any:
    try:
        parse(rules)
    except InvalidRules as error:
        raise _malformed(kind, str(error)) from None
    if rules is None:
        return None
    return [
        {"verbs": rule.get("verbs")} | {field: rule[field] for field in _RULE_FIELDS if rule.get(field)}
        for rule in rules
    ]


def _subject(subject: Manifest) -> Manifest:
    group = {"apiGroup": _GROUP} if subject.get("kind") in {"User", "Group"} else {}
    kept = {key: value for key, value in (group | subject).items() if value}
    return {"kind": "", "name": ""} | kept


def _mapping(kind: Kind, field: str, value: Any) -> Manifest:
    if not isinstance(value, dict | None):
        raise _malformed(kind, f"{field} must hold objects")
    return {key: text for key, text in (value or {}).items() if isinstance(text, str)}


def _malformed(kind: Kind, why: str) -> status.Refusal:
    return status.bad_request(f'{kind.name} in version "{kind.version}" cannot be handled as a {kind.name}: {why}')


def check(kind: Kind, manifest: Manifest, old: Manifest | None = None) -> None:
    """Raise Refusal (422) with everything that is wrong with a manifest, or with the change from the old one."""
    causes = [*_name_causes(manifest)]
    if "rules" in manifest and kind.name in RBAC_KINDS:
        causes += _rule_causes(manifest, namespaced=kind.namespaced)
    if "roleRef" in manifest:
        causes += _binding_causes(kind, manifest)
    if old is not None:
        causes += _change_causes(kind, manifest, old)
    if causes:
        raise status.invalid(kind, manifest["metadata"].get("name", ""), causes)


def _name_causes(manifest: Manifest) -> Iterator[Cause]:
    name = manifest["metadata"].get("name", "")
    if not name:
        yield Cause("metadata.name", "FieldValueRequired", "Required value: name or generateName is required")
    if name in {".", ".."}:
        yield Cause("metadata.name", "FieldValueInvalid", f"Invalid value: \"{name}\": may not be '{name}'")
    for character in "/%":
        if character in name:
            shown = status.go_quote(name)
            yield Cause("metadata.name", "FieldValueInvalid", f"Invalid value: {shown}: may not contain '{character}'")


def _rule_causes(manifest: Manifest, *, namespaced: bool) -> Iterator[Cause]:
    for index, rule in enumerate(manifest["rules"] or []):
        place = f"rules[{index}]"
        if not rule.get("verbs"):
            yield Cause(f"{place}.verbs", "FieldValueRequired", "Required value: verbs must contain at least one value")
        urls = rule.get("nonResourceURLs")
        if urls:
            shown = f"Invalid value: [{','.join(status.go_quote(url) for url in urls)}]"
            if namespaced:
                why = f"{shown}: namespaced rules cannot apply to non-resource URLs"
                yield Cause(f"{place}.nonResourceURLs", "FieldValueInvalid", why)
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                why = f"{shown}: rules cannot apply to both regular resources and non-resource URLs"
                yield Cause(f"{place}.nonResourceURLs", "FieldValueInvalid", why)
            continue
        for field, noun in (("apiGroups", "api group"), ("resources", "resource")):
            if not rule.get(field):
                why = f"Required value: resource rules must supply at least one {noun}"
                yield Cause(f"{place}.{field}", "FieldValueRequired", why)


def _binding_causes(kind: Kind, manifest: Manifest) -> Iterator[Cause]:
    reference = manifest["roleRef"]
    kinds = ("Role", "ClusterRole") if kind.namespaced else ("ClusterRole",)
    if reference.get("kind") not in kinds:
        listed = ", ".join(status.go_quote(name) for name in kinds)
        shown = status.go_quote(reference.get("kind", ""))
        yield Cause("roleRef.kind", "FieldValueNotSupported", f"Unsupported value: {shown}: supported values: {listed}")
    if not reference.get("name"):
        yield Cause("roleRef.name", "FieldValueRequired", "Required value")
    for index, subject in enumerate(manifest.get("subjects") or []):
        place = f"subjects[{index}]"
        if not subject.get("name"):
            yield Cause(f"{place}.name", "FieldValueRequired", "Required value")
        if subject.get("kind") not in {"ServiceAccount", "User", "Group"}:
            shown = status.go_quote(subject.get("kind", ""))
            why = f'Unsupported value: {shown}: supported values: "ServiceAccount", "User", "Group"'
            yield Cause(f"{place}.kind", "FieldValueNotSupported", why)
        if subject.get("kind") == "ServiceAccount" and not kind.namespaced and not subject.get("namespace"):
            yield Cause(f"{place}.namespace", "FieldValueRequired", "Required value")


def _change_causes(kind: Kind, manifest: Manifest, old: Manifest) -> Iterator[Cause]:
    uid = manifest["metadata"].get("uid")
    if uid != old["metadata"]["uid"]:
        why = f"Invalid value: {status.go_quote(str(uid))}: field is immutable"
        # The generic checks of an update find it, and those of the RBAC kinds find it again.
        yield from [Cause("metadata.uid", "FieldValueInvalid", why)] * (2 if kind.name in RBAC_KINDS else 1)
    if "roleRef" in old and manifest.get("roleRef") != old["roleRef"]:
        reference = manifest.get("roleRef", {})
        shown = ",".join(f'"{key}":{status.go_quote(reference.get(field, ""))}' for field, key in _ROLE_REF)
        yield Cause("roleRef", "FieldValueInvalid", f"Invalid value: {{{shown}}}: cannot change roleRef")
