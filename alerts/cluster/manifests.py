"""Manifests as they are kept, and as they can be created again."""

from typing import Any

from alerts.cluster.kinds import Manifest

# Set by the server, and refused or ignored in a create ("resourceVersion should not be set on objects to be created").
# Finalizers and owners are left out too: both may belong to controllers that are gone.
_SERVER_FIELDS = {
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "managedFields",
    "selfLink",
    "finalizers",
    "ownerReferences",
}


def without_managed_fields(manifest: Manifest) -> Manifest:
    """Return the manifest without the bookkeeping of who set which field."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "managedFields"}
    return {**manifest, "metadata": metadata}


def restorable(manifest: Manifest) -> Manifest:
    """Return the manifest as it can be created again: the new object gets a new uid."""
    metadata: dict[str, Any] = {key: value for key, value in manifest["metadata"].items() if key not in _SERVER_FIELDS}
    return {key: value for key, value in manifest.items() if key != "status"} | {"metadata": metadata}
