"""What a request means to an analyst: the patterns of acts worth telling, each with its ATT&CK technique.

Technique ids and names are those of MITRE ATT&CK for Containers, https://attack.mitre.org/matrices/enterprise/containers/.
"""

from dataclasses import dataclass
from enum import StrEnum

TECHNIQUES = {
    "T1053.007": "Container Orchestration Job",
    "T1069.003": "Permission Groups Discovery",
    "T1070": "Indicator Removal",
    "T1098": "Account Manipulation",
    "T1098.006": "Additional Container Cluster Roles",
    "T1134": "Access Token Manipulation",
    "T1136": "Create Account",
    "T1210": "Exploitation of Remote Services",
    "T1485": "Data Destruction",
    "T1528": "Steal Application Access Token",
    "T1546": "Event Triggered Execution",
    "T1552.007": "Credentials from the Container API",
    "T1557": "Adversary-in-the-Middle",
    "T1562": "Impair Defenses",
    "T1565.001": "Stored Data Manipulation",
    "T1609": "Container Administration Command",
    "T1610": "Deploy Container",
    "T1611": "Escape to Host",
    "T1613": "Container and Resource Discovery",
}


class Purpose(StrEnum):
    """What an intruder would do such a thing for."""

    EXFILTRATION = "Exfiltration"
    PERSISTENCE = "Persistence"
    ESCALATION = "Escalation"
    EXECUTION = "Execution"
    COVERING_TRACKS = "Covering tracks"
    DESTRUCTION = "Destruction"
    DISCOVERY = "Discovery"


@dataclass(frozen=True, slots=True)
class Pattern:
    """One kind of act.

    `past` tells it of one object, with `{object}` where its name goes; `many` of several, with `{count}` and `{where}`;
    `everything` of a request that names no object. `heat` is how the timeline marks it: "hot", "warm" or "".
    """

    verbs: tuple[str, ...]
    resources: tuple[str, ...]
    past: str
    purpose: Purpose | None = None
    techniques: tuple[str, ...] = ()
    heat: str = ""
    many: str = ""
    everything: str = ""


RBAC = "rbac.authorization.k8s.io"
_ROLES = (f"clusterroles.{RBAC}", f"roles.{RBAC}")
_BINDINGS = (f"clusterrolebindings.{RBAC}", f"rolebindings.{RBAC}")
CONTROLLERS = ("deployments.apps", "daemonsets.apps", "statefulsets.apps", "replicasets.apps", "replicationcontrollers")
JOBS = ("cronjobs.batch", "jobs.batch")
WORKLOADS = ("pods", *CONTROLLERS, *JOBS)
_WEBHOOKS = tuple(f"{kind}webhookconfigurations.admissionregistration.k8s.io" for kind in ("mutating", "validating"))
_ADMISSION = tuple(
    f"{kind}admissionpolic{end}.admissionregistration.k8s.io"
    for kind in ("mutating", "validating")
    for end in ("ies", "ybindings")
)
_EVENTS = ("events", "events.events.k8s.io")
_REVIEWS = ("selfsubjectaccessreviews.authorization.k8s.io", "selfsubjectrulesreviews.authorization.k8s.io")
_CERTIFICATES = "certificatesigningrequests.certificates.k8s.io"
_WALLS = ("networkpolicies.networking.k8s.io",)
_DATA = ("persistentvolumes", "persistentvolumeclaims", "configmaps", "secrets", "namespaces")
_READ = ("get", "list", "watch")
_CHANGE = ("update", "patch")
_WRITE = ("create", "update", "patch")
_DELETE = ("delete", "deletecollection")

# Of what did not happen the sentence says "tried to …".
INFINITIVES = {
    "approved": "approve",
    "asked": "ask",
    "bound": "bind",
    "changed": "change",
    "created": "create",
    "deleted": "delete",
    "diverted": "divert",
    "issued": "issue",
    "listed": "list",
    "opened": "open",
    "put": "put",
    "ran": "run",
    "read": "read",
    "scheduled": "schedule",
    "spoke": "speak",
    "started": "start",
    "wrote": "write",
}

# The first pattern that fits a request counts. Resources are written as kubectl does: resource.group/subresource.
PATTERNS = (
    Pattern(("create",), _ROLES, "created the role {object}", Purpose.ESCALATION, ("T1098.006",), "hot"),
    Pattern(("create",), _BINDINGS, "created the binding {object}", Purpose.ESCALATION, ("T1098.006",), "hot"),
    Pattern(_CHANGE, _ROLES, "changed the role {object}", Purpose.ESCALATION, ("T1098.006",), "hot"),
    Pattern(_CHANGE, _BINDINGS, "changed the binding {object}", Purpose.ESCALATION, ("T1098.006",), "hot"),
    Pattern(_DELETE, _ROLES, "deleted the role {object}", heat="warm", everything="deleted roles {where}"),
    Pattern(_DELETE, _BINDINGS, "deleted the binding {object}", heat="warm", everything="deleted bindings {where}"),
    Pattern(
        _READ,
        (*_ROLES, *_BINDINGS),
        "read {object}",
        Purpose.DISCOVERY,
        ("T1069.003",),
        many="read {count} roles and bindings {where}",
        everything="listed the roles or bindings {where}",
    ),
    Pattern(
        ("create",),
        _REVIEWS,
        "asked what it may do",
        Purpose.DISCOVERY,
        ("T1069.003",),
        everything="asked what it may do",
    ),
    Pattern(
        _READ,
        ("secrets",),
        "read secret {object}",
        Purpose.EXFILTRATION,
        ("T1552.007",),
        "hot",
        many="read {count} secrets {where}",
        everything="listed all secrets {where}",
    ),
    Pattern(_WRITE, ("secrets",), "wrote secret {object}", None, (), "warm", many="wrote {count} secrets {where}"),
    Pattern(
        ("create",),
        ("serviceaccounts/token",),
        "issued a token for account {object}",
        Purpose.PERSISTENCE,
        ("T1528",),
        "hot",
        many="issued tokens for {count} accounts {where}",
    ),
    Pattern(
        ("create",),
        ("serviceaccounts",),
        "created account {object}",
        Purpose.PERSISTENCE,
        ("T1136",),
        "hot",
        many="created {count} accounts {where}",
    ),
    Pattern(_CHANGE, ("serviceaccounts",), "changed account {object}", Purpose.PERSISTENCE, ("T1098",), "warm"),
    Pattern(
        ("create", "get"),
        ("pods/exec", "pods/attach"),
        "ran a command in pod {object}",
        Purpose.EXECUTION,
        ("T1609",),
        "hot",
    ),
    Pattern(
        _CHANGE,
        ("pods/ephemeralcontainers",),
        "put a container into pod {object}",
        Purpose.EXECUTION,
        ("T1609", "T1611"),
        "hot",
    ),
    Pattern(
        ("create", "get"),
        ("pods/portforward", "pods/proxy", "services/proxy"),
        "opened a way to {object}",
        Purpose.EXECUTION,
        ("T1210",),
        "warm",
    ),
    Pattern(
        ("get", "create", "update", "patch", "delete"),
        ("nodes/proxy",),
        "spoke to the kubelet of node {object}",
        Purpose.EXECUTION,
        ("T1611",),
        "hot",
    ),
    Pattern(
        ("create",),
        ("cronjobs.batch",),
        "scheduled CronJob {object}",
        Purpose.PERSISTENCE,
        ("T1053.007", "T1610"),
        "hot",
    ),
    Pattern(_WRITE, ("jobs.batch",), "started Job {object}", Purpose.EXECUTION, ("T1610",), "warm"),
    Pattern(("create",), ("pods",), "started Pod {object}", Purpose.EXECUTION, ("T1610",), "warm"),
    Pattern(("create",), CONTROLLERS, "started {kind} {object}", Purpose.PERSISTENCE, ("T1610",), "warm"),
    Pattern(_CHANGE, WORKLOADS, "changed {kind} {object}", Purpose.PERSISTENCE, ("T1610",), "warm"),
    Pattern(
        _DELETE,
        WORKLOADS,
        "deleted {kind} {object}",
        Purpose.DESTRUCTION,
        ("T1485",),
        "warm",
        everything="deleted {kind}s {where}",
    ),
    Pattern(
        _DELETE,
        _EVENTS,
        "deleted event {object}",
        Purpose.COVERING_TRACKS,
        ("T1070",),
        "hot",
        many="deleted {count} events {where}",
        everything="deleted all events {where}",
    ),
    Pattern(
        _DELETE,
        _DATA,
        "deleted {kind} {object}",
        Purpose.DESTRUCTION,
        ("T1485",),
        "hot",
        everything="deleted {kind}s {where}",
    ),
    Pattern(("create",), ("namespaces",), "created namespace {object}"),
    Pattern(_CHANGE, ("namespaces",), "changed namespace {object}", Purpose.COVERING_TRACKS, ("T1562",), "warm"),
    Pattern(
        ("get", "list", "watch"),
        ("configmaps",),
        "read configmap {object}",
        Purpose.DISCOVERY,
        ("T1613",),
        many="read {count} configmaps {where}",
        everything="listed all configmaps {where}",
    ),
    Pattern(_WRITE, ("configmaps",), "wrote configmap {object}", None, (), "", many="wrote {count} configmaps {where}"),
    Pattern(("create",), ("persistentvolumes",), "created volume {object}", Purpose.ESCALATION, ("T1611",), "warm"),
    Pattern(("create",), (_CERTIFICATES,), "asked for certificate {object}", Purpose.PERSISTENCE, ("T1098",), "hot"),
    Pattern(
        _CHANGE,
        (f"{_CERTIFICATES}/approval", f"{_CERTIFICATES}/status"),
        "approved certificate {object}",
        Purpose.PERSISTENCE,
        ("T1098",),
        "hot",
    ),
    Pattern(_WRITE, _WEBHOOKS, "wrote webhook {object}", Purpose.PERSISTENCE, ("T1546",), "hot"),
    Pattern(
        _DELETE,
        (*_WEBHOOKS, *_ADMISSION),
        "deleted the guard {object}",
        Purpose.COVERING_TRACKS,
        ("T1562",),
        "hot",
        everything="deleted guards {where}",
    ),
    Pattern(_CHANGE, _ADMISSION, "changed the guard {object}", Purpose.COVERING_TRACKS, ("T1562",), "hot"),
    Pattern(("create",), _ADMISSION, "created the guard {object}", Purpose.PERSISTENCE, ("T1546",), "warm"),
    Pattern(
        (*_WRITE, *_DELETE),
        ("apiservices.apiregistration.k8s.io",),
        "diverted API {object}",
        Purpose.ESCALATION,
        ("T1557",),
        "hot",
    ),
    Pattern(_CHANGE, _WALLS, "changed network policy {object}", Purpose.COVERING_TRACKS, ("T1562",), "warm"),
    Pattern(
        _DELETE,
        _WALLS,
        "deleted network policy {object}",
        Purpose.COVERING_TRACKS,
        ("T1562",),
        "warm",
        everything="deleted network policies {where}",
    ),
)

_BY_RESOURCE: dict[tuple[str, str], Pattern] = {}
for _pattern in PATTERNS:
    for _resource in _pattern.resources:
        for _verb in _pattern.verbs:
            _BY_RESOURCE.setdefault((_verb, _resource), _pattern)


def pattern_of(verb: str, resource: str) -> Pattern | None:
    """Return the pattern of a request on a resource written as kubectl writes it, or None for one not worth telling."""
    return _BY_RESOURCE.get((verb, resource))
