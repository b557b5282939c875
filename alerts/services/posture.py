"""Which policies should have prevented it: who else could have done this, and what stands open besides.

Findings are plain JSON: key, level (a severity, or "soft" for what was not evaluated), title, detail, the lines that
prove it, and how many are left out.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from alerts import rbac
from alerts.audit.event import RBAC_GROUP, Event
from alerts.cluster.errors import ClusterError
from alerts.models import Cluster
from alerts.rbac.subjects import MASTERS
from alerts.services import connection

_LINES = 12
# Roles looked at for equal powers; beyond, the finding says so.
ROLES = 3000
# What Kubernetes itself gives to everybody: discovery, and what one may do oneself.
_HARMLESS = frozenset(
    {
        "system:basic-user",
        "system:discovery",
        "system:public-info-viewer",
        "system:openshift:public-info-viewer",
        "system:service-account-issuer-discovery",
    }
)
_SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease"})
_POD_SECURITY = "pod-security.kubernetes.io/enforce"
_BODIES = frozenset({"Request", "RequestResponse"})

type Finding = dict[str, Any]


def findings(
    cluster: Cluster,
    access: rbac.Access,
    *,
    ref: rbac.RoleRef | None,
    rules: rbac.RuleSet | None,
    maker: str = "",
    events: Iterable[Event] = (),
) -> list[Finding]:
    """Return what an analyst should look at after a role with these rules was made, the gravest first.

    `access` is the cluster as it stands, `maker` the user name of who made the role, `events` the requests at hand, by
    which the audit policy is judged.
    """
    # Who can do it only by this role is no finding of its own.
    others = access.without(ref) if ref else access
    found = [
        *_makers(others, rules or rbac.RuleSet(), maker),
        *_binders(others, ref, rules or rbac.RuleSet(), maker),
        *_equals(access, ref, rules),
        *_open_to_all(access),
        *_namespaces(cluster),
        *_unrecorded(events),
    ]
    order = ["critical", "high", "medium", "low", "soft"]
    return sorted(found, key=lambda finding: order.index(finding["level"]))


def _finding(key: str, level: str, title: str, detail: str = "", lines: Sequence[str] = ()) -> Finding:
    return {
        "key": key,
        "level": level,
        "title": title,
        "detail": detail,
        "lines": list(lines[:_LINES]),
        "left_out": max(0, len(lines) - _LINES),
    }


def _makers(access: rbac.Access, rules: rbac.RuleSet, maker: str) -> Iterator[Finding]:
    """Yield who could have made such a role: by creating roles, and escalate or holding all that it permits.

    The escalation check of pkg/registry/rbac/clusterrole/policybased: `escalate` on clusterroles, or every rule.
    """
    create = rbac.Request("create", RBAC_GROUP, "clusterroles")
    escalate = rbac.Request("escalate", RBAC_GROUP, "clusterroles")
    detail = "They may create cluster roles, and may escalate or hold everything that it permits."
    yield from _abilities("makers", "make such a role", detail, _able(access, create, escalate, rules), maker)


def _binders(access: rbac.Access, ref: rbac.RoleRef | None, rules: rbac.RuleSet, maker: str) -> Iterator[Finding]:
    """Yield who may bind the role for the whole cluster: by creating bindings, and bind or holding all it permits."""
    create = rbac.Request("create", RBAC_GROUP, "clusterrolebindings")
    bind = rbac.Request("bind", RBAC_GROUP, "clusterroles", name=ref.name if ref else "")
    detail = "They may create cluster role bindings, and may bind the role or hold everything that it permits."
    yield from _abilities("binders", "bind it to anybody", detail, _able(access, create, bind, rules), maker)


def _abilities(key: str, what: str, detail: str, able: dict[rbac.Subject, str], maker: str) -> Iterator[Finding]:
    """Yield the finding that some subjects are able to do something, by which bindings; the maker is no news."""
    own = able.pop(rbac.Subject.of_user(maker), "")
    others = sorted(able.values(), key=lambda line: ("kube-system" in line, line))
    lines = [*([f"{own}: its maker"] if own else []), *others]
    if others:
        yield _finding(key, "high", f"{_count(others, 'other subject')} can {what}", detail, lines)
    elif own:
        yield _finding(key, "medium", f"Its maker can {what}, and nobody else", detail.replace("They", "It"), lines)


def _able(
    access: rbac.Access, write: rbac.Request, bypass: rbac.Request, rules: rbac.RuleSet
) -> dict[rbac.Subject, str]:
    """Return who may make a write and passes the check behind it, each with the binding that gives it."""
    found: dict[rbac.Subject, str] = {}
    for answer in access.who_can(write):
        if answer.subject in found or _is_masters(answer.subject):
            continue
        effective = access.effective(answer.subject)
        if effective.rules.allowing(bypass) is not None or (rules and _covers(effective.rules, rules)):
            found[answer.subject] = f"{answer.subject}, by {answer.source.binding}"
    return found


def _is_masters(subject: rbac.Subject) -> bool:
    return subject.kind == "Group" and subject.name == MASTERS


def _covers(owner: rbac.RuleSet, servant: rbac.RuleSet) -> bool:
    try:
        return rbac.covers(owner, servant)
    except rbac.TooMuchWork:
        return False


def _equals(access: rbac.Access, ref: rbac.RoleRef | None, rules: rbac.RuleSet | None) -> Iterator[Finding]:
    """Yield who else holds, cluster-wide, a role that permits everything this one does."""
    if not rules:
        return
    bound: defaultdict[rbac.RoleRef, list[rbac.Binding]] = defaultdict(list)
    for binding in access.bindings:
        if not binding.namespace and binding.role != ref and binding.subjects:
            bound[binding.role].append(binding)
    looked_at = sorted(bound)[:ROLES]
    lines = [
        f"{subject}, by {binding} of {role}"
        for role in looked_at
        if _covers(access.rules(role), rules)
        for binding in bound[role]
        for subject in binding.subjects
    ]
    if lines:
        cut = f" Only {ROLES} of {len(bound)} bound roles were looked at." if len(bound) > ROLES else ""
        title = f"{_count(lines, 'other grant')} as powerful or more"
        yield _finding("equals", "medium", title, f"Whoever holds these can do all that this role permits.{cut}", lines)


def _open_to_all(access: rbac.Access) -> Iterator[Finding]:
    """Yield the bindings to everybody, with log-in or without, apart from what Kubernetes gives everybody itself."""
    public, everybody = [], []
    for binding in access.bindings:
        if binding.role.name in _HARMLESS:
            continue
        where = f"in {binding.namespace}" if binding.namespace else "in the whole cluster"
        for subject in binding.subjects:
            line = f"{subject} has {binding.role} {where}, by {binding}"
            if subject.public:
                public.append(line)
            elif subject.everybody:
                everybody.append(line)
    if public:
        yield _finding(
            "public",
            "critical",
            f"{_count(public, 'grant')} to anybody without log-in",
            "Nobody needs an account.",
            public,
        )
    if everybody:
        detail = "Every user or every service account has these, whatever they were made for."
        yield _finding("everybody", "high", f"{_count(everybody, 'grant')} to everybody", detail, everybody)


def _namespaces(cluster: Cluster) -> Iterator[Finding]:
    """Yield the namespaces without a network policy or a pod security level, as the live cluster has them."""
    try:
        with connection.connect(cluster) as api:
            namespaces, policies = api.namespaces(), api.network_policies()
    except (connection.NotConnected, ClusterError) as error:
        title = "Network policies and pod security levels were not evaluated"
        yield _finding("namespaces", "soft", title, str(error))
        return
    labels = {each["metadata"]["name"]: each["metadata"].get("labels") or {} for each in namespaces}
    walled = {each["metadata"].get("namespace", "") for each in policies}
    unwalled = sorted(labels.keys() - walled - _SYSTEM_NAMESPACES)
    unsecured = sorted(
        name
        for name, each in labels.items()
        if each.get(_POD_SECURITY) not in {"baseline", "restricted"} and name not in _SYSTEM_NAMESPACES
    )
    if unwalled:
        detail = "Pods there can talk to everything, out and in."
        yield _finding(
            "network", "medium", f"{_count(unwalled, 'namespace')} without a network policy", detail, unwalled
        )
    if unsecured:
        detail = "Nothing there refuses privileged pods or those that mount the host: no enforced pod security level."
        yield _finding("pods", "medium", f"{_count(unsecured, 'namespace')} without pod security", detail, unsecured)


# What the audit log should hold of each kind of request, and what is missing without.
_WANTED = (
    (RBAC_GROUP, "", "roles and bindings", "what they permit", "RequestResponse"),
    ("", "token", "token requests", "how long a token lives", "Request"),
    ("apps", "", "workloads", "whether they are privileged", "Request"),
    ("batch", "", "jobs", "what they run", "Request"),
    ("", "exec", "commands in pods", "which command", "Request"),
)


def _unrecorded(events: Iterable[Event]) -> Iterator[Finding]:
    """Yield what the audit policy does not record, as far as the requests at hand show."""
    gaps: dict[str, str] = {}
    secrets = 0
    for event in events:
        if (event.group, event.resource, event.subresource) == ("", "secrets", "") and event.level in _BODIES:
            secrets += 1
        for group, subresource, what, missing, level in _WANTED:
            wrote = event.verb in {"create", "update", "patch"} and event.succeeded
            if wrote and (event.group, event.subresource) == (group, subresource) and event.level == "Metadata":
                gaps[what] = f"{what}: {missing} (level {event.level}; {level} records it)"
    if gaps:
        title = f"The audit policy leaves out {_count(list(gaps), 'thing')} that this investigation needed"
        yield _finding("audit", "medium", title, "", list(gaps.values()))
    if secrets:
        detail = "Bodies of secrets belong at level Metadata: who reads the log reads the secrets."
        yield _finding("audit-secrets", "high", "The audit log itself holds the content of secrets", detail)


def _count(lines: Sequence[str], noun: str) -> str:
    return f"{len(lines)} {noun}{'' if len(lines) == 1 else 's'}"


def evidence(found: list[Finding]) -> dict[str, Any]:
    """Return the evidence for the step, as plain JSON."""
    real = [finding for finding in found if finding["level"] != "soft"]
    worst = real[0]["level"] if real else ""
    if not real:
        return {"summary": "No findings.", "chips": [], "findings": found}
    return {
        "summary": f"{_count([finding['key'] for finding in real], 'finding')}: {_lower(real[0]['title'])}",
        "chips": [[worst, "Open to anybody"]] if worst == "critical" else [],
        "findings": found,
    }


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
