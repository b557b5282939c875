"""Somebody acted as somebody powerful: with `--as` and `--as-group`, whatever the request was for.

The audit log names both. Where the impersonation was refused, it is at best in the API server's answer who was meant.
ATT&CK: T1134, Access Token Manipulation; T1078, Valid Accounts.
"""

import json
import re
from collections.abc import Iterator

from alerts.audit.event import FINAL_STAGES, LONG_RUNNING, WRITES, Event
from alerts.audit.reason import unquoted
from alerts.detections.detection import Finding, Known
from alerts.detections.identity import Identity
from alerts.detections.writes import day_of
from alerts.rbac import Subject
from alerts.rbac.subjects import AUTHENTICATED, MASTERS

NAME = "powerful_impersonation"
TECHNIQUES = ("T1134", "T1078")
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
# Kubernetes' own, OpenShift's administrators, and those of kubeadm (cmd/kubeadm/app/constants).
_ALWAYS = frozenset(
    {
        "system:admin",
        "system:apiserver",
        "system:kube-controller-manager",
        "system:kube-scheduler",
        "kubernetes-admin",
        "kubernetes-super-admin",
    }
)
_ALWAYS_GROUPS = ("kubeadm:cluster-admins", "system:cluster-admins")
# What the impersonation filter answers (pkg/endpoints/filters/impersonation of k8s.io/apiserver).
_REFUSED = re.compile(
    rf'(users|groups|serviceaccounts)(?:\.authentication\.k8s\.io)? ({_QUOTED}) is forbidden: User {_QUOTED} cannot '
    r'impersonate(?:[:\w-]*) resource ',
    re.DOTALL,
)  # fmt: skip
# From 1.36 on the answer is about what was to be done, and does not say as whom (constrained impersonation, KEP-5284).
_REFUSED_TO_ACT = re.compile(
    rf"(?:[\w./-]+(?: {_QUOTED})? is )?forbidden: User {_QUOTED} cannot impersonate-on:[\w-]+:\w+ (?:resource|path) ",
    re.DOTALL,
)


def examine(event: Event, known: Known) -> Iterator[Finding]:
    """Yield a finding where a powerful identity was impersonated, or somebody tried to. Those of a day are one.

    A watch or a shell that has begun is found then: it may last for hours.
    """
    if event.stage not in FINAL_STAGES and event.stage != LONG_RUNNING:
        return
    assumed = identity(event)
    if assumed is not None and not _is_oneself(assumed, event) and _powerful(assumed, known):
        who = MASTERS if MASTERS in assumed.groups else assumed.subject.username or str(assumed.subject)
        yield _finding(event, who)
    elif assumed is None and event.code == 403 and _REFUSED_TO_ACT.match(_message(event)):
        yield _finding(event, "")


def _finding(event: Event, who: str) -> Finding:
    attempted = event.impersonated_user is None
    deed = "Attempt to impersonate" if attempted else "Impersonation of"
    return Finding(
        detection=NAME,
        cause=json.dumps([deed, event.actor, who, day_of(event)]),
        title=f"{deed} {who or 'somebody whom the log does not name'}",
        event=event,
        name=who,
        attempted=attempted,
        # Where people come through a proxy, all they read is read in their name.
        repetitive=attempted or not (event.verb in WRITES or event.subresource),
    )


def identity(event: Event) -> Identity | None:
    """Return who was impersonated, or who was to be as the refusal says; None where there was no impersonation."""
    assumed = event.impersonated_user
    if assumed is not None:
        return Identity(Subject.of_user(assumed.username), assumed.groups or ())
    refusal = _REFUSED.match(_message(event)) if event.code == 403 else None
    if refusal is None:
        return None
    kind, name = refusal[1], unquoted(refusal[2])
    return Identity(Subject("Group", name) if kind == "groups" else Subject.of_user(name))


def _message(event: Event) -> str:
    return event.response_status.message if event.response_status else ""


def _is_oneself(assumed: Identity, event: Event) -> bool:
    """Tell whether somebody acted as themselves, and gave themselves no group that they are not in."""
    same = assumed.subject.username == event.actor
    return same and set(assumed.groups) <= {*(event.user.groups or ()), AUTHENTICATED}


def _powerful(assumed: Identity, known: Known) -> bool:
    """Tell whether it is one that may do something grave, as far as the cluster is known, or by its name always may."""
    if assumed.subject.username in _ALWAYS or assumed.subject.namespace == "kube-system":
        return True
    return any(map(assumed.is_in, _ALWAYS_GROUPS)) or assumed.powerful(known.access())
