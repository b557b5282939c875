"""What was left behind under a role's authority, or by its maker since: still there or gone, and how to end it."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from alerts.audit.event import Event
from alerts.cluster.api import ClusterAPI
from alerts.cluster.commands import quote
from alerts.cluster.errors import ClusterError, Forbidden, NotFound
from alerts.cluster.kinds import KINDS, ObjectReference, kind_of
from alerts.models import Cluster
from alerts.services import connection
from alerts.services.investigation.acts import Act, Outcome, object_of, resource_of
from alerts.services.investigation.attack import RBAC
from alerts.services.investigation.case import Case
from alerts.services.investigation.timeline import short
from alerts.services.investigation.use import Use

_ITEMS = 100
_ASKED = 50
THERE, GONE, UNKNOWN, READ = "there", "gone", "unknown", "read"


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing left behind.

    `reference` is the object whose being there decides, None where there is nothing to ask for. `kind` counts alike
    things in the summary: workload, account, token, secret, role, certificate, guard, other.
    """

    kind: str
    title: str
    act: Act
    reference: ObjectReference | None
    command: str
    note: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What makes two leftovers the same."""
        return self.kind, self.title


def evidence(case: Case, use: Use) -> dict[str, Any]:
    """Return the evidence for the step, as plain JSON."""
    found = list({leftover.key: leftover for leftover in leftovers(case, use)}.values())
    shown = found[:_ITEMS]
    states, problem = _states(case.cluster, shown)
    items = [
        _item(leftover, states.get(leftover.key, UNKNOWN if leftover.reference else READ), use) for leftover in shown
    ]
    return {
        "summary": _summary(found, use),
        "chips": _chips(items),
        "items": items,
        "left_out": len(found) - len(shown),
        "gaps": case.since.gaps,
        "problem": problem,
    }


def leftovers(case: Case, use: Use) -> Iterator[Leftover]:
    """Yield what remains of everything that was done since, the role and its own bindings aside."""
    own = {("clusterroles", "", case.ref.name) if case.ref else None}
    own |= {
        (f"{binding.kind.lower()}s", binding.namespace, binding.name)
        for binding in (case.access.bindings_of(case.ref) if case.ref else ())
    }
    for act in use.acts:
        event = act.event
        if act.outcome == Outcome.DONE and (event.resource, event.namespace, event.name) not in own:
            maker = _MAKERS.get((event.resource, event.subresource))
            if maker is not None:
                yield from maker(act)


def _workload(act: Act) -> Iterator[Leftover]:
    if act.event.verb in {"create", "update", "patch"}:
        yield _object(act, "workload", note=", ".join(act.dangers))


def _account(act: Act) -> Iterator[Leftover]:
    if act.event.verb == "create":
        yield _object(act, "account", note="Its tokens end with it.")


def _token(act: Act) -> Iterator[Leftover]:
    event = act.event
    reference = ObjectReference("ServiceAccount", event.namespace, event.name)
    note = "A token cannot be recalled: it works until it expires, or until its account is deleted."
    title = f"Token of {object_of(event)}"
    yield Leftover("token", title, act, reference, _delete(event, resource="serviceaccounts"), note)


def _secret(act: Act) -> Iterator[Leftover]:
    event = act.event
    if event.verb in {"create", "update", "patch"}:
        yield _object(act, "secret", note="It was written, and may hold a token that was minted by it.")
    elif event.verb in {"get", "list", "watch"}:
        where = f"--namespace={quote(event.namespace)}" if event.namespace else "--all-namespaces"
        if event.name:
            command = f"kubectl edit secrets --namespace={quote(event.namespace)} -- {quote(event.name)}"
            title = f"Secret {object_of(event)}, read"
        else:
            command = f"kubectl get secrets {where}"
            title = f"All secrets {f'in {event.namespace}' if event.namespace else 'of the cluster'}, listed"
        yield Leftover("secret", title, act, None, command, "Replace what it holds where that was issued, then here.")


def _permission(act: Act) -> Iterator[Leftover]:
    if act.event.verb in {"create", "update", "patch"}:
        note = "" if act.event.verb == "create" else "It was changed: compare it with how it was before."
        yield _object(act, "role", note=note)


def _certificate(act: Act) -> Iterator[Leftover]:
    note = "A certificate that was issued cannot be recalled: it works until it expires, or until the CA is replaced."
    yield _object(act, "certificate", note=note)


def _guard(act: Act) -> Iterator[Leftover]:
    if act.event.verb in {"create", "update", "patch"}:
        yield _object(act, "guard", note="It sees or changes what others send to the API.")


def _other(act: Act) -> Iterator[Leftover]:
    if act.event.verb == "create":
        yield _object(act, "other")


def _object(act: Act, kind: str, *, note: str = "") -> Leftover:
    event = act.event
    known = kind_of(event.group, event.resource)
    reference = ObjectReference(known.name, event.namespace, event.name) if known and event.name else None
    title = f"{known.name if known else event.resource} {object_of(event)}"
    return Leftover(kind, title, act, reference, _delete(event), note)


def _delete(event: Event, *, resource: str = "") -> str:
    """Return the command that deletes the object. RBAC names may hold anything, so these go by their address."""
    known = kind_of(event.group, event.resource)
    if event.group == RBAC and known:
        return f"kubectl delete --raw {ObjectReference(known.name, event.namespace, event.name).path}"
    where = f" --namespace={quote(event.namespace)}" if event.namespace else ""
    return f"kubectl delete {resource or resource_of(event)}{where} -- {quote(event.name)}"


_WORKLOADS = (
    "pods",
    "deployments",
    "daemonsets",
    "statefulsets",
    "replicasets",
    "replicationcontrollers",
    "jobs",
    "cronjobs",
)
_GUARDS = (
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
)
_MAKERS: dict[tuple[str, str], Callable[[Act], Iterator[Leftover]]] = {
    **{(resource, ""): _workload for resource in _WORKLOADS},
    ("serviceaccounts", ""): _account,
    ("serviceaccounts", "token"): _token,
    ("secrets", ""): _secret,
    **{(f"{kind}{end}", ""): _permission for kind in ("cluster", "") for end in ("roles", "rolebindings")},
    ("certificatesigningrequests", ""): _certificate,
    **{(resource, ""): _guard for resource in _GUARDS},
    ("persistentvolumes", ""): _other,
    ("namespaces", ""): _other,
}


def _states(cluster: Cluster, found: Iterable[Leftover]) -> tuple[dict[tuple[str, str], str], str]:
    """Ask the live cluster which are still there; return that by key, and why it could not be asked, or ""."""
    states: dict[tuple[str, str], str] = {}
    if not (cluster.api_address and cluster.readable):
        return states, "Whether they are still there is unknown: Rolecall may not read this cluster."
    try:
        with connection.connect(cluster) as api:
            for leftover in [each for each in found if each.reference is not None][:_ASKED]:
                states[leftover.key] = _state(api, leftover)
    except (connection.NotConnected, ClusterError) as error:
        return states, str(error)
    return states, ""


def _state(api: ClusterAPI, leftover: Leftover) -> str:
    reference = leftover.reference
    if reference is None or reference.kind not in KINDS or reference.kind == "Secret":
        # A secret is not read to learn whether it is there.
        return UNKNOWN
    try:
        api.read(reference)
    except NotFound:
        return GONE
    except Forbidden:
        return UNKNOWN
    return THERE


def _item(leftover: Leftover, state: str, use: Use) -> dict[str, Any]:
    act = leftover.act
    return {
        "kind": leftover.kind,
        "title": leftover.title,
        "state": state,
        "note": leftover.note,
        "command": leftover.command,
        "by": short(act.by),
        "at": act.at.isoformat() if act.at else "",
        "besides": use.is_besides(act),
    }


def _chips(items: list[dict[str, Any]]) -> list[list[str]]:
    there = sum(item["state"] == THERE for item in items)
    if there:
        return [["high", f"{there} still there"]]
    if items and all(item["state"] == GONE for item in items):
        return [["good", "All gone"]]
    return []


def _summary(found: list[Leftover], use: Use) -> str:
    """Return what was left behind, counted: “Left behind with it: 2 workloads and 4 secrets to replace.”."""
    with_it = [leftover for leftover in found if not use.is_besides(leftover.act)]
    besides = [leftover for leftover in found if use.is_besides(leftover.act)]
    parts = [f"left behind with it: {_counted(with_it)}"] if with_it else []
    parts += [f"by its maker since: {_counted(besides)}"] if besides else []
    text = "; ".join(parts) or "nothing that was left behind is known"
    return f"{text[:1].upper()}{text[1:]}."


def _counted(found: list[Leftover]) -> str:
    counts = Counter(leftover.kind for leftover in found)
    words = [f"{count} {_plural(kind, count)}" for kind, count in counts.items()]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _plural(kind: str, count: int) -> str:
    singular, plural = _NOUNS.get(kind, (kind, f"{kind}s"))
    return singular if count == 1 else plural


_NOUNS = {
    "role": ("role or binding", "roles or bindings"),
    "secret": ("secret to replace", "secrets to replace"),
    "other": ("other object", "other objects"),
}
