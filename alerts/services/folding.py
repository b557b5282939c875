"""One rollout, one row: alerts that one release brought about, found by what they have in common and by their times.

Nothing of it is stored but marks on each alert, so it comes to the same in whatever order the events came in.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from alerts.audit.event import Event, metadata_of
from alerts.audit.visible import storable

# A rollout goes on while its next object comes so soon, and ends when it has lasted so long.
PAUSE = timedelta(minutes=5)
LENGTH = timedelta(minutes=30)
_LONGEST_RELEASE = 300
# Where the tools say which release an object belongs to: the name, and its namespace where they say that too.
_RELEASES = (
    ("Helm release", "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"),
    ("Argo CD application", "argocd.argoproj.io/tracking-id", ""),
    ("Argo CD application", "argocd.argoproj.io/instance", ""),
    ("Flux kustomization", "kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace"),
    ("Flux release", "helm.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/namespace"),
    ("operator", "olm.owner", "olm.owner.namespace"),
)


def marks(event: Event | None, *, attempted: bool) -> dict[str, str]:
    """Return the fields of an alert by which it folds: who made it, from where, with what, and for which release.

    `rollout_key` is "" where the actor or the client is unknown: such an alert stands on its own.
    """
    client = event.user_agent if event is not None else None
    if event is None or not event.actor or not client:
        return {"rollout_key": "", "release": ""}
    assumed = event.impersonated_user.username if event.impersonated_user else None
    who = json.dumps([event.actor, assumed, client, event.source_ips, attempted])
    manifests = (event.response, event.request)
    release = next((found for manifest in manifests if (found := release_of(manifest))), "")
    return {
        "rollout_key": hashlib.sha256(who.encode("utf-8", "surrogatepass")).hexdigest(),
        "release": storable(release)[:_LONGEST_RELEASE],
    }


def release_of(manifest: Any) -> str:
    """Return what a manifest says it was released with, or the object that owns it; "" where it says nothing."""
    metadata = metadata_of(manifest)
    said: dict[str, Any] = {}
    for part in (metadata.get("labels"), metadata.get("annotations")):
        said |= part if isinstance(part, dict) else {}
    for what, name_key, namespace_key in _RELEASES:
        name, namespace = said.get(name_key), said.get(namespace_key)
        if isinstance(name, str) and name:
            # A tracking ID is the application's name, then the object's own.
            name = name.partition(":")[0] if name_key.endswith("/tracking-id") else name
            return f"{what} {f'{namespace}/' if isinstance(namespace, str) and namespace else ''}{name}"
    references = metadata.get("ownerReferences")
    owner = references[0] if isinstance(references, list) and references else None
    if isinstance(owner, dict) and isinstance(owner.get("name"), str):
        return f"{owner.get('kind')} {owner['name']}"
    return ""


@dataclass(frozen=True, slots=True)
class Member:
    """An alert as far as folding goes. `apart` keeps it a row of its own; only what is `alike` shares a row."""

    key: int
    rollout_key: str
    release: str
    at: datetime
    apart: bool = False
    alike: Hashable = None


def fold(members: Sequence[Member]) -> list[list[int]]:
    """Return the rows of a list: the keys of each, in the list's order, each row where its first alert stood."""
    groups: dict[Hashable, list[Member]] = defaultdict(list)
    for member in members:
        if member.rollout_key and not member.apart:
            groups[member.rollout_key, member.alike].append(member)
    row_of = {
        member.key: (group, number)
        for group, found in groups.items()
        for number, rollout in enumerate(rollouts(found))
        for member in rollout
    }
    rows: dict[Hashable, list[int]] = {}
    for member in members:
        rows.setdefault(row_of.get(member.key, member.key), []).append(member.key)
    return list(rows.values())


@dataclass(slots=True)
class _Running:
    """A rollout that may go on."""

    members: list[Member]
    release: str

    def takes(self, member: Member) -> bool:
        soon = member.at - self.members[-1].at <= PAUSE and member.at - self.members[0].at <= LENGTH
        return soon and (not member.release or not self.release or member.release == self.release)


def rollouts(members: Iterable[Member]) -> list[list[Member]]:
    """Return the rollouts among the alerts of one maker, by their times and releases.

    Bindings are often made without a release's labels: what names none belongs to the rollout that went on just before.
    """
    found: list[_Running] = []
    running: list[_Running] = []
    for member in sorted(members, key=lambda each: (each.at, each.key)):
        running = [each for each in running if member.at - each.members[-1].at <= PAUSE]
        fitting = [each for each in running if each.takes(member)]
        # The same release goes before one that is not known yet, and of equals the last one that grew.
        chosen = max(
            fitting,
            key=lambda each: (bool(member.release) and each.release == member.release, each.members[-1].at),
            default=None,
        )
        if chosen is None:
            chosen = _Running([], member.release)
            found.append(chosen)
            running.append(chosen)
        chosen.members.append(member)
        chosen.release = chosen.release or member.release
    return [each.members for each in found]
