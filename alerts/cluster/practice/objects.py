"""Reading and deleting objects, and what all of their writes have in common."""

import copy
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

from alerts.cluster.kinds import KINDS, Kind, Manifest, ObjectReference
from alerts.cluster.practice import selectors, status
from alerts.cluster.practice.authorization import Authorizer
from alerts.cluster.practice.request_info import RequestInfo
from alerts.cluster.practice.store import Store
from alerts.cluster.practice.users import User

# Kinds whose deletion is answered with the object instead of a Status.
_RETURNED_WHEN_DELETED = {"Pod", "ServiceAccount"}
Answer = tuple[int, Manifest]


@dataclass(frozen=True)
class Call:
    """One authenticated and authorised request. `manager` owns the fields it writes."""

    user: User
    info: RequestInfo
    body: Any
    content_type: str
    manager: str


@dataclass(frozen=True)
class Objects:
    """Reads and deletes the objects of a store."""

    store: Store
    authorizer: Authorizer

    def get(self, call: Call, kind: Kind) -> Answer:
        """Return one object."""
        return 200, self.existing(call, kind)

    def existing(self, call: Call, kind: Kind) -> Manifest:
        """Return the object that a request names.

        Raises Refusal (404).
        """
        found = self.store.find(reference_of(call, kind))
        if found is None:
            raise status.not_found(kind, call.info.name)
        return found

    def list(self, call: Call, kind: Kind) -> Answer:
        """Return a page of the objects of a kind, without kind and apiVersion of their own, as lists have them."""
        query = call.info.query
        items = [item for item in self.store.all_of(kind.name, call.info.namespace) if selectors.matches(query, item)]
        start, limit = _start(query.get("continue", "")), int(query.get("limit") or 0)
        page = items[start : start + limit] if limit else items[start:]
        metadata: Manifest = {"resourceVersion": self.store.version}
        if start + len(page) < len(items):
            metadata["continue"] = urlsafe_b64encode(json.dumps({"start": start + len(page)}).encode()).decode()
            metadata["remainingItemCount"] = len(items) - start - len(page)
        return 200, {
            "kind": f"{kind.name}List",
            "apiVersion": kind.api_version,
            "metadata": metadata,
            "items": [
                {key: value for key, value in item.items() if key not in {"kind", "apiVersion"}} for item in page
            ],
        }

    def delete(self, call: Call, kind: Kind) -> Answer:
        """Delete an object, or only mark it while it has finalizers."""
        options = delete_options(call)
        return 200, self._delete(kind, self.existing(call, kind), options)

    def delete_collection(self, call: Call, kind: Kind) -> Answer:
        """Delete all objects that a list with the same query would show, and return that list."""
        options = delete_options(call)
        found = self.store.all_of(kind.name, call.info.namespace)
        chosen = [item for item in found if selectors.matches(call.info.query, item)]
        answer = self.list(call, kind)
        for item in chosen:
            self._delete(kind, item, options)
        return answer

    def _delete(self, kind: Kind, found: Manifest, options: Manifest) -> Manifest:
        metadata, dry_run = found["metadata"], options.get("dryRun") == ["All"]
        _check_preconditions(kind, found, options.get("preconditions") or {})
        if metadata.get("finalizers") or kind.name == "Namespace":
            if "deletionTimestamp" in metadata:
                return found
            return self._mark(kind, found, dry_run=dry_run)
        if not dry_run:
            self.store.remove(ObjectReference.of(found))
        if kind.name in _RETURNED_WHEN_DELETED:
            return found
        details = {"name": metadata["name"], "group": kind.group, "kind": kind.plural, "uid": metadata["uid"]}
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {key: value for key, value in details.items() if value},
        }

    def _mark(self, kind: Kind, found: Manifest, *, dry_run: bool) -> Manifest:
        marked = copy.deepcopy(found)
        marked["metadata"]["deletionTimestamp"] = self.store.now()
        if kind.name == "Namespace":
            marked["status"] = {"phase": "Terminating"}
        else:
            marked["metadata"]["deletionGracePeriodSeconds"] = 0
        return marked if dry_run else self.store.write(marked)


def reference_of(call: Call, kind: Kind) -> ObjectReference:
    """Return the object that a request names."""
    return ObjectReference(kind.name, call.info.namespace if kind.namespaced else "", call.info.name)


def delete_options(call: Call) -> Manifest:
    """Return the DeleteOptions of a request: its body, or where it has none what the query says.

    Raises Refusal (422) for a dry run of another kind than All.
    """
    options: Manifest = call.body if isinstance(call.body, dict) else {}
    if "dryRun" in call.info.query and call.body is None:
        options = {"dryRun": [call.info.query["dryRun"]]}
    if options.get("dryRun") not in (None, [], ["All"]):
        shown = " ".join(status.go_quote(str(word)) for word in options["dryRun"])
        why = f'Unsupported value: [{shown}]: supported values: "All"'
        options_kind = Kind("DeleteOptions", "meta.k8s.io", "v1", "deleteoptions", namespaced=False)
        raise status.invalid(options_kind, "", [status.Cause("dryRun", "FieldValueNotSupported", why)])
    return options


def _check_preconditions(kind: Kind, found: Manifest, asked: Manifest) -> None:
    for field in ("uid", "resourceVersion"):
        if asked.get(field) not in (None, found["metadata"][field]):
            raise status.precondition_failed(kind, found, field, asked[field])


def _start(token: str) -> int:
    if not token:
        return 0
    try:
        return int(json.loads(urlsafe_b64decode(token))["start"])
    except (ValueError, KeyError, TypeError):
        raise status.bad_request("continue key is not valid") from None


def namespace_exists(store: Store, namespace: str) -> None:
    """Raise Refusal (404) where a namespace does not exist."""
    if store.find(ObjectReference("Namespace", "", namespace)) is None:
        raise status.not_found(KINDS["Namespace"], namespace)
