"""Audit events told as acts: who did what, in plain sentences, with what an intruder would do it for."""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs

from alerts import rbac
from alerts.audit.event import Event
from alerts.audit.glance import Glance
from alerts.services.investigation import attack, workloads
from alerts.services.investigation.attack import Pattern, Purpose

type Parts = list[list[str]]

_TOGETHER = timedelta(minutes=10)
_SHOWN = 8
# Resources outside namespaces: of these a request that names no object reaches no further than it says.
_CLUSTER_SCOPED = frozenset({"clusterroles", "clusterrolebindings", "namespaces", "nodes", "persistentvolumes"})
_WORKLOADS = {
    "pods": "Pod",
    "deployments": "Deployment",
    "daemonsets": "DaemonSet",
    "statefulsets": "StatefulSet",
    "replicasets": "ReplicaSet",
    "replicationcontrollers": "ReplicationController",
    "jobs": "Job",
    "cronjobs": "CronJob",
}
_SPANS = ((365 * 86_400, "year"), (86_400, "day"), (3600, "hour"), (60, "minute"))


class Outcome(StrEnum):
    """What became of a request."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    REHEARSED = "rehearsed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Act:
    """One thing somebody did or tried to do. Several alike in a row count as one, and `events` holds them all."""

    events: tuple[Event, ...]
    pattern: Pattern
    outcome: Outcome
    text: Parts
    detail: str = ""
    dangers: tuple[str, ...] = ()

    @property
    def event(self) -> Event:
        """The first of its events."""
        return self.events[0]

    @property
    def at(self) -> datetime | None:
        """When it began."""
        return self.event.at

    @property
    def by(self) -> str:
        """Who acted: the impersonated user where there is one."""
        return who(self.event)

    @property
    def purpose(self) -> Purpose | None:
        """What an intruder would do it for."""
        return self.pattern.purpose

    @property
    def techniques(self) -> tuple[str, ...]:
        """The ids of the ATT&CK techniques it is an instance of."""
        escape = ("T1611",) if self.dangers and "T1611" not in self.pattern.techniques else ()
        impersonation = ("T1134",) if self.event.impersonated_user else ()
        return (*self.pattern.techniques, *escape, *impersonation)

    @property
    def heat(self) -> str:
        """How the timeline marks it: "hot", "warm" or ""."""
        if self.outcome in {Outcome.REFUSED, Outcome.REHEARSED}:
            return "warm" if self.pattern.heat else ""
        return "hot" if self.dangers else self.pattern.heat


def who(event: Event) -> str:
    """Return in whose name a request was made: the impersonated user's where there is one."""
    return (event.impersonated_user or event.user).username


def resource_of(event: Event | Glance) -> str:
    """Return what a request is about as kubectl writes it: `pods/exec`, `deployments.apps`; "" for no resource."""
    about = event.object_ref
    if about is None:
        return ""
    dotted = f"{about.resource}.{about.api_group}" if about.api_group else about.resource
    return f"{dotted}/{about.subresource}" if about.subresource else dotted


def object_of(event: Event) -> str:
    """Return the object's name with its namespace before it: `kube-system/metrics-scraper`."""
    return f"{event.namespace}/{event.name}" if event.namespace else event.name


def request_of(event: Event) -> rbac.Request:
    """Return the request as the permission library has it."""
    if event.object_ref is None:
        return rbac.Request(event.verb, path=event.path)
    return rbac.Request(event.verb, event.group, event.resource, event.subresource, event.name, event.namespace)


def outcome_of(event: Event) -> Outcome:
    """Return what became of a request."""
    code = event.code
    if code in {401, 403} or event.decision == "forbid":
        return Outcome.REFUSED
    if code is None:
        return Outcome.UNKNOWN
    if code >= 400:
        return Outcome.FAILED
    return Outcome.REHEARSED if event.dry_run else Outcome.DONE


def act_of(event: Event) -> Act | None:
    """Return the act that an event is, or None where it is nothing worth telling."""
    pattern = attack.pattern_of(event.verb, resource_of(event))
    if pattern is None or (not event.name and not pattern.everything and event.verb != "create"):
        return None
    outcome = outcome_of(event)
    dangers, detail = _details(event)
    if outcome == Outcome.FAILED:
        detail = f"answered {event.code}{f', {detail}' if detail else ''}"
    return Act((event,), pattern, outcome, _worded(_sentence(event, pattern), outcome), detail, dangers)


def told(acts: Iterable[Act]) -> list[Act]:
    """Return the acts in order, those alike that follow each other within ten minutes told as one."""
    merged: list[Act] = []
    latest: dict[str, int] = {}
    for act in acts:
        place = latest.get(act.by)
        if place is not None and _alike(merged[place], act):
            merged[place] = _together(merged[place], act)
        else:
            latest[act.by] = len(merged)
            merged.append(act)
    return merged


def _alike(one: Act, other: Act) -> bool:
    if one.pattern is not other.pattern or one.outcome != other.outcome or one.event.verb != other.event.verb:
        return False
    ends, starts = one.events[-1].at, other.at
    if ends and starts and starts - ends > _TOGETHER:
        return False
    mergeable = bool(one.pattern.many) and bool(one.event.name) and bool(other.event.name)
    return one.event.namespace == other.event.namespace and (mergeable or one.text == other.text)


def _together(one: Act, other: Act) -> Act:
    events = (*one.events, *other.events)
    if one.text == other.text:
        return replace(one, events=events, detail=_times(one, len(events)))
    names = list(dict.fromkeys(event.name for event in events))
    text = _filled(one.pattern.many, events[0], count=len(names))
    shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return replace(one, events=events, text=_worded(text, one.outcome), detail=shown)


def _times(act: Act, count: int) -> str:
    before = act.detail.rpartition(" · ")[0] if act.detail.endswith(" times") else act.detail
    return f"{before} · {count} times" if before else f"{count} times"


def _sentence(event: Event, pattern: Pattern) -> Parts:
    """Return the sentence in the past tense, as pairs of emphasis and text."""
    resource = resource_of(event)
    if resource.endswith(f"bindings.{attack.RBAC}") and event.verb in {"create", "update", "patch"}:
        bound = _bound(event)
        if bound:
            return bound
    if resource == "serviceaccounts/token":
        return _filled(pattern.past.replace("a token", _token(event)), event)
    if event.subresource in {"exec", "attach"}:
        command = parse_qs(event.query).get("command", [])
        if command:
            return [["", "ran "], ["code", shlex.join(command)], ["", " in pod "], ["code", object_of(event)]]
    if event.name or not pattern.everything:
        return _filled(pattern.past, event)
    return _filled(pattern.everything, event)


def _bound(event: Event) -> Parts | None:
    """Return whom a binding gives what, where its body was recorded."""
    manifest = event.response if isinstance(event.response, dict) and "roleRef" in event.response else event.request
    if not isinstance(manifest, dict):
        return None
    try:
        binding = rbac.Binding.of_manifest(
            manifest | {"kind": "RoleBinding" if event.namespace else "ClusterRoleBinding"}
        )
    except rbac.InvalidRules:
        return None
    subjects = ", ".join(map(str, binding.subjects)) or "nobody"
    where: Parts = [["", " in "], ["code", event.namespace]] if event.namespace else []
    return [["", "bound "], ["code", str(binding.role)], ["", " to "], ["code", subjects], *where]


def _token(event: Event) -> str:
    """Return the token with how long it lives, where that was recorded."""
    for body in (event.response, event.request):
        spec = body.get("spec") if isinstance(body, dict) else None
        seconds = spec.get("expirationSeconds") if isinstance(spec, dict) else None
        if isinstance(seconds, int) and seconds > 0:
            return f"a token for {_span(seconds)}"
    return "a token"


def _span(seconds: int) -> str:
    for size, unit in _SPANS:
        if seconds >= size:
            count = round(seconds / size)
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return f"{seconds} seconds"


def _filled(template: str, event: Event, *, count: int = 0) -> Parts:
    """Return a pattern's sentence with the names of the event in it."""
    kind = _WORKLOADS.get(event.resource, event.resource.removesuffix("s"))
    filled: Parts = []
    for piece in re.split(r"(\{object\}|\{where\})", template.replace("{kind}", kind).replace("{count}", str(count))):
        if piece == "{object}":
            filled.append(["code", object_of(event) or "(its name was not recorded)"])
        elif piece == "{where}" and event.namespace:
            filled += [["", "in "], ["code", event.namespace]]
        elif piece == "{where}":
            filled.append(["", "" if event.resource in _CLUSTER_SCOPED else "of the whole cluster"])
        else:
            filled.append(["", piece])
    shown = [part for part in filled if part[1].strip()]
    shown[-1][1] = shown[-1][1].rstrip()
    return shown


def _worded(sentence: Parts, outcome: Outcome) -> Parts:
    """Say of what did not happen that it did not: "tried to read…, and was refused"."""
    if outcome in {Outcome.DONE, Outcome.UNKNOWN}:
        return sentence
    if outcome == Outcome.REHEARSED:
        return [*sentence, ["", " as a rehearsal only"]]
    first, _, rest = sentence[0][1].partition(" ")
    ending = ", and was refused" if outcome == Outcome.REFUSED else ""
    begun = f"tried to {attack.INFINITIVES[first]} {rest}" if first in attack.INFINITIVES else f"tried: {first} {rest}"
    return [[sentence[0][0], begun], *sentence[1:], *([["", ending]] if ending else [])]


def _details(event: Event) -> tuple[tuple[str, ...], str]:
    """Return what lets a workload out of its container, and everything worth adding to the sentence."""
    if event.resource in _WORKLOADS and not event.subresource and event.verb in {"create", "update", "patch"}:
        manifest: Any = event.response if isinstance(event.response, dict) else event.request
        if not isinstance(manifest, dict):
            return (), "what it runs was not recorded"
        dangers = workloads.dangers(manifest)
        return tuple(dangers), ", ".join([*dangers, *workloads.traits(manifest)])
    if resource_of(event) == "serviceaccounts/token" and "for" not in _token(event):
        return (), "how long it lives was not recorded"
    return (), ""
