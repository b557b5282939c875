"""Who manages which field: managedFields, as far as roles and bindings need them (structured-merge-diff).

A field is a path: ("rules",), ("metadata", "labels", KEY), ("metadata", "finalizers", 'v:"VALUE"'). The lists of RBAC
count as a whole.
"""

import json
from collections.abc import Iterator
from typing import Any

from alerts.cluster.kinds import Manifest

Path = tuple[str, ...]
_MAPS = ("labels", "annotations")
_SETS = ("finalizers",)
# Stands for a map or set as such, which belongs to whoever made it.
ITSELF = "."


def fields(manifest: Manifest) -> dict[Path, Any]:
    """Return the managed fields of a manifest and their values."""
    found: dict[Path, Any] = {}
    for key, value in manifest.items():
        if key not in {"kind", "apiVersion", "metadata", "status"} and value is not None:
            found[(key,)] = value
    metadata = manifest.get("metadata") or {}
    if metadata.get("generateName"):
        found[("metadata", "generateName")] = metadata["generateName"]
    if metadata.get("ownerReferences"):
        found[("metadata", "ownerReferences")] = metadata["ownerReferences"]
    for key in (*_MAPS, *_SETS):
        members = metadata.get(key) or {}
        if members:
            found[("metadata", key, ITSELF)] = True
        values = members.items() if isinstance(members, dict) else ((f"v:{json.dumps(word)}", word) for word in members)
        found |= {("metadata", key, name): value for name, value in values}
    return found


class Ownership:
    """The managers of an object's fields, read from its managedFields and written back to them."""

    def __init__(self, manifest: Manifest) -> None:
        self._owned: dict[tuple[str, str], set[Path]] = {}
        self._times: dict[tuple[str, str], str] = {}
        for entry in manifest.get("metadata", {}).get("managedFields") or []:
            key = (entry["manager"], entry["operation"])
            self._owned[key] = set(_paths(entry.get("fieldsV1") or {}))
            self._times[key] = entry.get("time", "")

    def of(self, manager: str, operation: str) -> set[Path]:
        """Return the fields of one manager."""
        return self._owned.get((manager, operation), set())

    def others(self, manager: str, path: Path) -> list[str]:
        """Return the other managers of a field."""
        return [name for (name, _), owned in self._owned.items() if name != manager and path in owned]

    def update(self, manager: str, changed: set[Path], gone: set[Path], time: str) -> None:
        """Note that a manager set some fields, taking them from everybody else, and that others are gone."""
        for owned in self._owned.values():
            owned.difference_update(changed, gone)
        if changed:
            self._owned.setdefault((manager, "Update"), set()).update(changed)
            self._times[(manager, "Update")] = time

    def apply(self, manager: str, applied: set[Path], taken: set[Path], time: str) -> None:
        """Note what a manager applies now, and which of it was taken from others."""
        for owned in self._owned.values():
            owned.difference_update(taken)
        if self.of(manager, "Apply") != applied:
            self._times[(manager, "Apply")] = time
        self._owned[(manager, "Apply")] = set(applied)

    def entries(self, api_version: str) -> list[Manifest]:
        """Return the managedFields."""
        return [
            {
                "manager": manager,
                "operation": operation,
                "apiVersion": api_version,
                "time": self._times[(manager, operation)],
                "fieldsType": "FieldsV1",
                "fieldsV1": _tree(owned),
            }
            for (manager, operation), owned in self._owned.items()
            if owned
        ]


def _paths(tree: Manifest, prefix: Path = ()) -> Iterator[Path]:
    for key, below in tree.items():
        path = (*prefix, key.removeprefix("f:"))
        if prefix in {(), ("metadata",)} and path[-1] in {"metadata", *_MAPS, *_SETS}:
            yield from _paths(below, path)
        else:
            yield path


def _tree(paths: set[Path]) -> Manifest:
    tree: Manifest = {}
    for path in sorted(paths):
        node = tree
        for part in path:
            node = node.setdefault(part if part == ITSELF or part.startswith("v:") else f"f:{part}", {})
    return tree
