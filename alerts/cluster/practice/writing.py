"""Creating and changing objects: create, update, patch, server-side apply."""

import copy
import json
import secrets
from typing import Any

import yaml

from alerts.cluster.kinds import RBAC_KINDS, Kind, Manifest, ObjectReference
from alerts.cluster.practice import escalation, ownership, patches, status, validation
from alerts.cluster.practice.objects import Answer, Call, Objects, namespace_exists, reference_of
from alerts.cluster.practice.ownership import Ownership

# k8s.io/apimachinery/pkg/util/rand: no vowels, nothing that reads like another character
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_IMMUTABLE = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion")
_MERGES = {"application/merge-patch+json", "application/strategic-merge-patch+json"}
_APPLY = {"application/apply-patch+yaml", "application/apply-patch"}


class Writing:
    """Writes objects. Nobody grants more than they hold, and everybody's fields are on record."""

    def __init__(self, objects: Objects) -> None:
        self._objects, self._store, self._authorizer = objects, objects.store, objects.authorizer

    def create(self, call: Call, kind: Kind) -> Answer:
        """Create an object from a POST."""
        manifest = _submitted(call, kind)
        metadata = manifest["metadata"]
        if kind.namespaced:
            if metadata.setdefault("namespace", call.info.namespace) != call.info.namespace:
                raise status.bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
            namespace_exists(self._store, call.info.namespace)
        if metadata.get("generateName") and not metadata.get("name"):
            metadata["name"] = metadata["generateName"] + "".join(secrets.choice(_SUFFIX_LETTERS) for _ in range(5))
        if metadata.get("resourceVersion"):
            raise status.Refusal(500, "", "resourceVersion should not be set on objects to be created")
        changed = set(ownership.fields(manifest)) | (
            {("metadata", "generateName")} if "generateName" in metadata else set()
        )
        return self._make(call, kind, manifest, Ownership({}), changed, name="")

    def _make(
        self, call: Call, kind: Kind, manifest: Manifest, owners: Ownership, changed: set[ownership.Path], *, name: str
    ) -> Answer:
        """Keep a new object after all checks. `name` is that of the request."""
        if kind.name in RBAC_KINDS:
            escalation.confirm(self._authorizer, call.user, manifest, None, name=name)
        validation.check(kind, manifest)
        if self._store.find(ObjectReference.of(manifest)) is not None:
            raise status.already_exists(kind, manifest["metadata"]["name"])
        born = self._store.birth(_with_status(kind, manifest))
        owners.update(call.manager, changed, set(), born["metadata"]["creationTimestamp"])
        _record(born, owners, kind)
        return 201, born if call.info.dry_run else self._store.write(born)

    def update(self, call: Call, kind: Kind) -> Answer:
        """Replace an object by a PUT, which creates roles and bindings that are not there."""
        manifest = _submitted(call, kind)
        manifest["metadata"].setdefault("name", call.info.name)
        if kind.namespaced:
            manifest["metadata"]["namespace"] = call.info.namespace
        _check_name(call, manifest)
        old = self._store.find(reference_of(call, kind))
        if old is None:
            if kind.name not in RBAC_KINDS:
                raise status.not_found(kind, call.info.name)
            self._confirm_may_create(call, kind)
            return self._make(call, kind, manifest, Ownership({}), set(ownership.fields(manifest)), name=call.info.name)
        asked = manifest["metadata"].get("uid")
        if asked not in (None, old["metadata"]["uid"]):
            raise status.other_uid(kind, old, asked)
        return 200, self._replace(call, kind, old, manifest, Ownership(old))

    def patch(self, call: Call, kind: Kind) -> Answer:
        """Change an object by a patch of any type."""
        content_type = call.content_type.partition(";")[0].strip()
        if content_type in _APPLY:
            return self._apply(call, kind)
        old = self._objects.existing(call, kind)
        if content_type in _MERGES:
            if not isinstance(call.body, dict):
                raise status.bad_request(f"error decoding patch: {type(call.body).__name__} is not an object")
            patched = patches.merge(old, call.body)
        elif content_type == "application/json-patch+json" and isinstance(call.body, list):
            patched = patches.json_patch(old, call.body)
        else:
            raise status.unsupported_media_type()
        manifest = validation.normalise(kind, patched)
        _check_name(call, manifest)
        return 200, self._replace(call, kind, old, manifest, Ownership(old))

    def _apply(self, call: Call, kind: Kind) -> Answer:
        manager = call.info.query.get("fieldManager", "")
        if not manager:
            options = Kind("PatchOptions", "meta.k8s.io", "v1", "patchoptions", namespaced=False)
            why = "Required value: is required for apply patch"
            raise status.invalid(options, "", [status.Cause("fieldManager", "FieldValueRequired", why)], unread=True)
        applied = _submitted(call, kind)
        applied["metadata"].setdefault("name", call.info.name)
        if kind.namespaced:
            applied["metadata"]["namespace"] = call.info.namespace
        _check_name(call, applied)
        old = self._store.find(reference_of(call, kind))
        wanted = {path: value for path, value in ownership.fields(applied).items() if path[-1] != ownership.ITSELF}
        owners = Ownership(old or {})
        owners.apply(manager, set(wanted), self._taken(call, old, wanted, owners, manager), self._store.now())
        if old is None:
            self._confirm_may_create(call, kind)
            return self._make(call, kind, applied, owners, set(), name=call.info.name)
        manifest = copy.deepcopy(old)
        for path in Ownership(old).of(manager, "Apply") - set(wanted):
            if not owners.others(manager, path):
                patches.set_field(manifest, path, None)
        for path, value in wanted.items():
            patches.set_field(manifest, path, value)
        return 200, self._replace(call, kind, old, validation.normalise(kind, manifest), owners, applied=True)

    def _taken(
        self, call: Call, old: Manifest | None, wanted: dict[ownership.Path, Any], owners: Ownership, manager: str
    ) -> set[ownership.Path]:
        """Return the fields that an apply takes from other managers.

        Raises Refusal (409) where it may not, because it does not force.
        """
        current = ownership.fields(old or {})
        taken = {path for path, value in wanted.items() if path in current and current[path] != value}
        conflicts = [
            (other, "." + ".".join(path))
            for path in sorted(taken, key=_depth_first)
            for other in owners.others(manager, path)
        ]
        if conflicts and call.info.query.get("force") != "true":
            raise status.apply_conflict([(status.go_quote(other), path) for other, path in conflicts])
        return taken

    def _replace(
        self, call: Call, kind: Kind, old: Manifest, manifest: Manifest, owners: Ownership, *, applied: bool = False
    ) -> Manifest:
        """Keep the new state of an object after all checks, or let it go where its last finalizer went."""
        before, metadata = old["metadata"], manifest["metadata"]
        if kind.name in RBAC_KINDS:
            escalation.confirm(self._authorizer, call.user, manifest, old, name=call.info.name)
        if metadata.get("resourceVersion") not in (None, "", before["resourceVersion"]):
            raise status.modified(kind, call.info.name)
        metadata.setdefault("uid", before["uid"])
        validation.check(kind, manifest, old)
        for field in _IMMUTABLE:
            metadata.pop(field, None)
            if field in before:
                metadata[field] = before[field]
        was, now = ownership.fields(old), ownership.fields(manifest)
        changed = {path for path, value in now.items() if was.get(path) != value}
        if not applied:
            owners.update(call.manager, changed, set(was) - set(now), self._store.now())
        _record(manifest, owners, kind)
        if manifest == old:
            return old
        if call.info.dry_run:
            return manifest
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            self._store.remove(ObjectReference.of(manifest))
            return manifest
        return self._store.write(manifest)

    def _confirm_may_create(self, call: Call, kind: Kind) -> None:
        """Raise Refusal (403) where an update or apply would create, and the user may not."""
        request = call.info.request
        create = type(request)("create", request.group, request.resource, "", request.name, request.namespace)
        if not self._authorizer.decide(call.user, create).allowed:
            raise status.forbidden(kind, request.name, denial(call.user.name, create))


def denial(username: str, request: Any) -> str:
    """Return the sentence for a request that nothing allows."""
    who = f"User {status.go_quote(username)} cannot {request.verb}"
    if request.path is not None:
        return f"{who} path {status.go_quote(request.path)}"
    resource = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    where = f"in the namespace {status.go_quote(request.namespace)}" if request.namespace else "at the cluster scope"
    return f"{who} resource {status.go_quote(resource)} in API group {status.go_quote(request.group)} {where}"


def _submitted(call: Call, kind: Kind) -> Manifest:
    body = call.body
    if not isinstance(body, dict):
        raise status.bad_request(f"the object provided is unrecognized (must be of type {kind.name})")
    if body.get("kind", kind.name) != kind.name:
        message = f'{body["kind"]} in version "{kind.version}" cannot be handled as a {kind.name}'
        raise status.bad_request(message)
    manifest = validation.normalise(kind, body)
    for field in (
        "managedFields",
        "creationTimestamp",
        "deletionTimestamp",
        *(() if kind.namespaced else ("namespace",)),
    ):
        manifest["metadata"].pop(field, None)
    return copy.deepcopy(manifest)


def _check_name(call: Call, manifest: Manifest) -> None:
    name = manifest["metadata"].get("name", "")
    if name != call.info.name:
        raise status.bad_request(
            f"the name of the object ({name}) does not match the name on the URL ({call.info.name})"
        )


def _depth_first(path: ownership.Path) -> tuple[int, ownership.Path]:
    return len(path), path


def _record(manifest: Manifest, owners: Ownership, kind: Kind) -> None:
    if manifest.get("rules") == []:
        manifest["rules"] = None  # which is what an empty list is kept and served as
    entries = owners.entries(kind.api_version)
    manifest["metadata"].pop("managedFields", None)
    if entries:
        manifest["metadata"]["managedFields"] = entries


def _with_status(kind: Kind, manifest: Manifest) -> Manifest:
    """Return the manifest with what the server adds to a new object of its kind."""
    if kind.name == "Namespace":
        labels = (manifest["metadata"].get("labels") or {}) | {
            "kubernetes.io/metadata.name": manifest["metadata"]["name"]
        }
        return manifest | {
            "metadata": manifest["metadata"] | {"labels": labels},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        }
    if kind.name == "Pod":
        return manifest | {"status": {"phase": "Pending"}}
    return manifest


def decode(content: bytes, content_type: str) -> Any:
    """Return the body of a request, JSON or YAML, or None where there is none.

    Raises Refusal (400).
    """
    if not content:
        return None
    try:
        return yaml.safe_load(content) if "yaml" in content_type else json.loads(content)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise status.bad_request(f"couldn't get version/kind; json parse error: {error}") from None
