"""Who holds powers over permissions: by which binding they may create, escalate, bind, impersonate, and who is anybody.

Names count: a role that may bind only cluster-admin may bind cluster-admin.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from alerts import rbac
from alerts.audit.event import RBAC_GROUP
from alerts.rbac.subjects import MASTERS
from alerts.services.posture.look import Found, Kind, Look

# Roles looked at for equal powers; beyond, nothing is called fixed.
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
_CONTROLLER = "system:controller:"
_AUTHENTICATION = "authentication.k8s.io"

# Each power with the requests that show it, those first that count inside one namespace too.
_INSIDE: tuple[tuple[Kind, str, str, Sequence[str]], ...] = (
    (Kind.ESCALATE, "escalate", RBAC_GROUP, ("roles",)),
    (Kind.BIND, "bind", RBAC_GROUP, ("clusterroles", "roles")),
    (Kind.IMPERSONATE, "impersonate", "", ("serviceaccounts",)),
)
_EVERYWHERE = (
    *_INSIDE,
    (Kind.CREATE, "create", RBAC_GROUP, ("clusterroles", "clusterrolebindings")),
    (Kind.ESCALATE, "escalate", RBAC_GROUP, ("clusterroles",)),
    (Kind.IMPERSONATE, "impersonate", "", ("users", "groups")),
    (Kind.IMPERSONATE, "impersonate", _AUTHENTICATION, ("uids", "userextras")),
)


def look(access: rbac.Access) -> Look:
    """Look at every binding of a cluster."""
    kinds = {Kind.PUBLIC, Kind.EVERYBODY, Kind.CREATE, Kind.ESCALATE, Kind.BIND, Kind.IMPERSONATE}
    return Look((*_powers(access), *_open_to_all(access)), judged=frozenset(kinds))


def _powers(access: rbac.Access) -> Iterator[Found]:
    known: dict[tuple[rbac.RoleRef, bool], dict[Kind, list[str]]] = {}
    for binding in access.bindings:
        if not binding.subjects:
            continue
        key = binding.role, bool(binding.namespace)
        if key not in known:
            known[key] = _powers_of(access.rules(binding.role), inside=key[1])
        for kind, words in known[key].items():
            level = "medium" if binding.namespace or kind == Kind.CREATE else "high"
            where = f" in {binding.namespace}" if binding.namespace else ""
            for subject in binding.subjects:
                if not _is_masters(subject) and not _is_shipped(binding, subject, kind):
                    detail = f"{', '.join(words)}{where}, by {binding} of {binding.role}"
                    yield Found(kind, f"{subject!r} {binding}", level, str(subject), detail)


def _powers_of(rules: rbac.RuleSet, *, inside: bool) -> dict[Kind, list[str]]:
    """Return the powers that rules give, each as requests in words; `inside` of one namespace only."""
    found: defaultdict[Kind, list[str]] = defaultdict(list)
    for kind, verb, group, resources in _INSIDE if inside else _EVERYWHERE:
        for resource in resources:
            names = _names(rules, verb, group, resource)
            if names is not None:
                found[kind].append(f"{verb} {resource}{f' named {", ".join(names)}' if names else ''}")
    return found


def _names(rules: rbac.RuleSet, verb: str, group: str, resource: str) -> list[str] | None:
    """Return the only names for which something is permitted, [] for any name, None where it is not at all."""
    only: set[str] = set()
    for rule in rules:
        # Of a creation the name is not in the request, so a rule with names permits none.
        names = [""] if verb == "create" or not rule.names else rule.names
        permitted = [name for name in names if rule.allows(rbac.Request(verb, group, resource, name=name))]
        if permitted and not rule.names:
            return []
        only.update(permitted)
    return sorted(only) or None


def _is_masters(subject: rbac.Subject) -> bool:
    # RBAC does not govern them: no role of theirs is a finding.
    return subject.kind == "Group" and subject.name == MASTERS


def _is_shipped(binding: rbac.Binding, subject: rbac.Subject, kind: Kind) -> bool:
    """Tell whether it is a controller of Kubernetes' own with a power that Kubernetes gives it itself."""
    name = binding.role.name.removeprefix(_CONTROLLER)
    if binding.name != binding.role.name or subject != rbac.Subject("ServiceAccount", name, "kube-system"):
        return False
    shipped = rbac.default_roles().get(binding.role.name)
    return shipped is not None and kind in _powers_of(shipped.rules, inside=False)


def _open_to_all(access: rbac.Access) -> Iterator[Found]:
    """Yield the bindings to everybody, with log-in or without, apart from what Kubernetes gives everybody itself."""
    for binding in access.bindings:
        if binding.role.name in _HARMLESS:
            continue
        where = f"in {binding.namespace}" if binding.namespace else "in the whole cluster"
        for subject in binding.subjects:
            kind = Kind.PUBLIC if subject.public else Kind.EVERYBODY if subject.everybody else None
            if kind is not None:
                level = "critical" if kind == Kind.PUBLIC else "high"
                detail = f"{binding.role} {where}, by {binding}"
                yield Found(kind, f"{subject!r} {binding}", level, str(subject), detail)


def look_at_role(access: rbac.Access, ref: rbac.RoleRef | None, rules: rbac.RuleSet | None, maker: str) -> Look:
    """Look at who could make such a role, bind it to anybody, or holds as much, by other roles than this one.

    `maker` is the user name of who made it.
    """
    permitted = rules or rbac.RuleSet()
    others = access.without(ref) if ref else access
    making = (
        rbac.Request("create", RBAC_GROUP, "clusterroles"),
        rbac.Request("escalate", RBAC_GROUP, "clusterroles"),
    )
    binding = (
        rbac.Request("create", RBAC_GROUP, "clusterrolebindings"),
        rbac.Request("bind", RBAC_GROUP, "clusterroles", name=ref.name if ref else ""),
    )
    found = [
        *_able(others, Kind.MAKERS, making, permitted, maker),
        *_able(others, Kind.BINDERS, binding, permitted, maker),
        *(_equals(access, ref, rules) if rules else ()),
    ]
    judged = {Kind.MAKERS, Kind.BINDERS} | ({Kind.EQUALS} if len(access.roles) <= ROLES else set())
    return Look(tuple(found), judged=frozenset(judged))


def _able(
    access: rbac.Access,
    kind: Kind,
    requests: tuple[rbac.Request, rbac.Request],
    rules: rbac.RuleSet,
    maker: str,
) -> Iterator[Found]:
    """Yield who may make the first request and passes the check behind it, each with the binding that gives it.

    The second bypasses the escalation check of pkg/registry/rbac/clusterrole/policybased, as does holding every rule.
    """
    write, bypass = requests
    own, seen = rbac.Subject.of_user(maker), set()
    for answer in access.who_can(write):
        subject = answer.subject
        if subject in seen or _is_masters(subject):
            continue
        effective = access.effective(subject)
        if effective.rules.allowing(bypass) is not None or (rules and _covers(effective.rules, rules)):
            seen.add(subject)
            level, addition = ("medium", ", its maker") if subject == own else ("high", "")
            yield Found(kind, repr(subject), level, f"{subject}{addition}", f"by {answer.source.binding}")


def _covers(owner: rbac.RuleSet, servant: rbac.RuleSet) -> bool:
    try:
        return rbac.covers(owner, servant)
    except rbac.TooMuchWork:
        return False


def _equals(access: rbac.Access, ref: rbac.RoleRef | None, rules: rbac.RuleSet) -> Iterator[Found]:
    """Yield who else holds, cluster-wide, a role that permits everything this one does."""
    bound: defaultdict[rbac.RoleRef, list[rbac.Binding]] = defaultdict(list)
    for binding in access.bindings:
        if not binding.namespace and binding.role != ref and binding.subjects:
            bound[binding.role].append(binding)
    for role in sorted(bound)[:ROLES]:
        if _covers(access.rules(role), rules):
            for binding in bound[role]:
                for subject in binding.subjects:
                    detail = f"by {binding} of {role}"
                    yield Found(Kind.EQUALS, f"{subject!r} {binding}", "medium", str(subject), detail)
