"""Recorded state and recorded audit logs: what a practice cluster starts with, and what has happened in it."""

import json
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from alerts.cluster.kinds import KINDS, RBAC_KINDS, Kind, Manifest, ObjectReference, kind_of
from alerts.cluster.practice import patches, validation
from alerts.cluster.practice.store import Store, copied

FOLDER = Path(__file__).with_name("recordings")
# The account Rolecall has in a cluster, as we ask administrators to install it
OWN_MANIFESTS = Path(__file__).parents[3] / "deploy" / "rbac"
_NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
_TIMES = {
    "creationTimestamp",
    "deletionTimestamp",
    "expirationTimestamp",
    "requestReceivedTimestamp",
    "stageTimestamp",
    "time",
}
_WRITES = {"create", "update", "patch", "delete"}


def find(name: str) -> Path:
    """Return an audit log by its path, or a recorded scenario by its name, such as `clusterrole-takeover`."""
    recorded = FOLDER / f"{name}.jsonl"
    return recorded if recorded.exists() else Path(name)


def scenarios() -> list[str]:
    """Return the names of the recorded scenarios."""
    return sorted(path.stem for path in FOLDER.glob("*.jsonl"))


def read(paths: Iterable[Path]) -> list[Manifest]:
    """Return the audit events of logs of one JSON object a line, in the order the requests came in."""
    events = [json.loads(line) for path in paths for line in path.read_text().splitlines() if line.strip()]
    return sorted(events, key=lambda event: str(event["requestReceivedTimestamp"]))


def shifted(value: Any, by: timedelta) -> Any:
    """Return events or manifests with every time in them moved."""
    if isinstance(value, dict):
        return {
            key: _moved(item, by) if key in _TIMES and isinstance(item, str) else shifted(item, by)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [shifted(item, by) for item in value]
    return value


def _moved(text: str, by: timedelta) -> str:
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", text):
        return text
    form = "%Y-%m-%dT%H:%M:%S.%fZ" if "." in text else "%Y-%m-%dT%H:%M:%SZ"
    return (time_of(text) + by).strftime(form)


def time_of(text: str) -> datetime:
    """Return a time as events and manifests hold it."""
    return datetime.fromisoformat(text).astimezone(UTC)


def seed(store: Store, *, before: datetime) -> None:
    """Fill a store with a new cluster: the default roles and bindings, those of the recordings, and Rolecall's account.

    Everything in it was made before the given time.
    """
    recorded = _state()
    newest = max(time_of(item["metadata"]["creationTimestamp"]) for item in recorded)
    by = min(before - timedelta(hours=1) - newest, timedelta())
    for item in shifted(recorded, by):
        store.load(item)
    namespaces = {*_NAMESPACES, *(item["metadata"].get("namespace", "") for item in recorded)} - {""}
    for namespace in sorted(namespaces):
        _found(store, namespace, newest + by)
    for item in own_manifests():
        if item["kind"] == "Namespace":
            _found(store, item["metadata"]["name"], newest + by)
        elif store.find(ObjectReference.of(item)) is None:
            _load_born(store, validation.normalise(KINDS[item["kind"]], item), newest + by)


@cache
def _state() -> list[Manifest]:
    return [item for path in sorted(FOLDER.glob("*.json")) for item in json.loads(path.read_text())["items"]]


def own_manifests() -> Iterator[Manifest]:
    """Yield the manifests of Rolecall's account, which may read, revoke, and remove what was left behind."""
    yield from map(copied, _own_manifests())


@cache
def _own_manifests() -> list[Manifest]:
    names = ("account", "reader", "guard", "revoker", "remover")
    texts = ((OWN_MANIFESTS / f"{name}.yaml").read_text() for name in names)
    return [manifest for text in texts for manifest in yaml.load_all(text, yaml.CSafeLoader)]


def replay(store: Store, events: Sequence[Manifest]) -> None:
    """Do to a store what the events say was done, with the recorded uids and resourceVersions where they have them."""
    for event in events:
        kind = _written(event)
        if kind is not None:
            _replay_write(store, event, kind)


def _written(event: Manifest) -> Kind | None:
    """Return the kind of object that an event says was written, or None where nothing of ours was."""
    reference = event.get("objectRef") or {}
    options = event.get("requestObject") if event["verb"] == "delete" else None
    dry_run = "dryRun=" in event["requestURI"] or (isinstance(options, dict) and options.get("dryRun"))
    done = event["stage"] == "ResponseComplete" and 200 <= event.get("responseStatus", {}).get("code", 0) < 300
    if not done or dry_run or event["verb"] not in _WRITES or reference.get("subresource"):
        return None
    return kind_of(reference.get("apiGroup", ""), reference.get("resource", ""))


def _replay_write(store: Store, event: Manifest, kind: Kind) -> None:
    reference, at = event["objectRef"], time_of(event["stageTimestamp"])
    if kind.namespaced:
        _found(store, reference["namespace"], at)
    answered, sent = event.get("responseObject"), event.get("requestObject")
    name = reference.get("name") or ((answered or {}).get("metadata") or {}).get("name")
    if not name:
        return
    target = ObjectReference(kind.name, reference.get("namespace", "") if kind.namespaced else "", name)
    if isinstance(answered, dict) and answered.get("kind") == kind.name:
        store.load(answered)
    elif event["verb"] == "delete":
        store.remove(target)
    elif isinstance(sent, dict) or sent is None:
        _replay_request(store, target, sent or {}, at)


def _replay_request(store: Store, target: ObjectReference, sent: Manifest, at: datetime) -> None:
    """Write what was sent, where the event does not hold what came of it; without that, at least the name."""
    kind = KINDS[target.kind]
    manifest = patches.merge(store.find(target) or {}, sent)
    metadata = (manifest.get("metadata") or {}) | {"name": target.name}
    if target.namespace:
        metadata["namespace"] = target.namespace
    _load_born(store, manifest | {"kind": kind.name, "apiVersion": kind.api_version, "metadata": metadata}, at)


def _found(store: Store, namespace: str, at: datetime) -> None:
    """Make a namespace, with its default service account, where there is none."""
    if store.find(ObjectReference("Namespace", "", namespace)) is not None:
        return
    labels = {"kubernetes.io/metadata.name": namespace}
    manifest = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": namespace, "labels": labels}}
    _load_born(store, manifest | {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}, at)
    account = {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default", "namespace": namespace}}
    _load_born(store, account, at)


def _load_born(store: Store, manifest: Manifest, at: datetime) -> None:
    """Load a manifest with a uid that is the same in every run, and a resourceVersion."""
    born = copied(manifest)
    reference = ObjectReference.of(born)
    metadata = born["metadata"]
    metadata.setdefault("uid", str(uuid.uuid5(uuid.NAMESPACE_URL, reference.path)))
    metadata.setdefault("creationTimestamp", at.strftime("%Y-%m-%dT%H:%M:%SZ"))
    if reference.kind not in RBAC_KINDS or "resourceVersion" not in metadata:
        metadata["resourceVersion"] = str(int(store.version) + 1)
    store.load(born)
