"""What somebody's requests leave behind: each thing once, with the command that ends it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from alerts.audit.event import Event
from alerts.cluster.commands import quote
from alerts.cluster.kinds import ObjectReference, kind_of
from alerts.services.investigation.acts import Act, Outcome, act_of, object_of, outcome_of, resource_of
from alerts.services.investigation.attack import RBAC, Pattern
from alerts.services.investigation.case import Case


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing left behind.

    `reference` is the object whose being there decides, None where there is nothing to ask for. `kind` counts alike
    things in the summary: workload, account, token, secret, role, certificate, guard, other. `made` tells that the
    object was not there before: then its return would be news.
    """

    kind: str
    title: str
    act: Act
    reference: ObjectReference | None
    command: str
    note: str = ""
    made: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What makes two leftovers the same."""
        return self.kind, self.title


def leftovers(case: Case) -> Iterator[Leftover]:
    """Yield what remains of everything that was done since, the role and its own bindings aside."""
    own = {("clusterroles", "", case.ref.name) if case.ref else None}
    own |= {
        (f"{binding.kind.lower()}s", binding.namespace, binding.name)
        for binding in (case.access.bindings_of(case.ref) if case.ref else ())
    }
    for event in case.since.events:
        if outcome_of(event) == Outcome.DONE and (event.resource, event.namespace, event.name) not in own:
            yield from _left_by(case, event)


def _left_by(case: Case, event: Event) -> Iterator[Leftover]:
    """Yield what one request left behind: of a kind we know from anybody, of any other where the role permitted it."""
    act = act_of(event)
    maker = _MAKERS.get((event.resource, event.subresource))
    if maker is not None and act is not None:
        yield from maker(act)
    elif maker is None and not event.subresource and case.permitted(event) and not _is_passing(event):
        yield from _other(act or Act((event,), _WRITTEN, Outcome.DONE, []))


def _is_passing(event: Event) -> bool:
    return event.resource in _PASSING or event.group in _PASSING_GROUPS


def _workload(act: Act) -> Iterator[Leftover]:
    if act.event.verb in _WRITES:
        yield _object(act, "workload", note=", ".join(act.dangers))


def _container(act: Act) -> Iterator[Leftover]:
    note = "A container was put into it, and stays until the pod ends."
    yield replace(_object(act, "workload"), command=_delete(act.event), note=note)


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
    if event.verb in _WRITES:
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
    if act.event.verb in _WRITES:
        yield _object(act, "role")


def _certificate(act: Act) -> Iterator[Leftover]:
    note = "A certificate that was issued cannot be recalled: it works until it expires, or until the CA is replaced."
    title = f"{'Certificate' if act.event.subresource else 'Request for certificate'} {object_of(act.event)}"
    yield replace(_object(act, "certificate"), title=title, command=_delete(act.event), note=note)


def _guard(act: Act) -> Iterator[Leftover]:
    if act.event.verb in _WRITES:
        yield _object(act, "guard", note="It sees or changes what others send to the API.")


def _other(act: Act) -> Iterator[Leftover]:
    if act.event.verb in _WRITES:
        yield _object(act, "other")


def _object(act: Act, kind: str, *, note: str = "") -> Leftover:
    """Return an object that was made, to be deleted, or one that was there before, to be put back as it was."""
    event = act.event
    known = kind_of(event.group, event.resource)
    reference = ObjectReference(known.name, event.namespace, event.name) if known and event.name else None
    title = f"{known.name if known else resource_of(event)} {object_of(event) or '(its name was not recorded)'}"
    # A server-side apply that creates is a patch answered with 201.
    if event.verb == "create" or event.code == _CREATED:
        return Leftover(kind, title, act, reference, _delete(event) if event.name else _look(event), note, made=True)
    changed = " ".join(filter(None, (note, "It was changed: put it back as it was before.")))
    return Leftover(kind, f"{title}, changed", act, reference, _put_back(event), changed)


def _delete(event: Event, *, resource: str = "") -> str:
    """Return the command that deletes the object. RBAC names may hold anything, so these go by their address."""
    known = kind_of(event.group, event.resource)
    if event.group == RBAC and known:
        return f"kubectl delete --raw {ObjectReference(known.name, event.namespace, event.name).path}"
    return f"kubectl delete {_words(event, resource)} -- {quote(event.name)}"


def _put_back(event: Event) -> str:
    """Return the command that undoes a change where the cluster keeps what was before, else the one that shows it."""
    known = kind_of(event.group, event.resource)
    if event.group == RBAC and known:
        return f"kubectl get --raw {ObjectReference(known.name, event.namespace, event.name).path}"
    if resource_of(event) in _ROLLED_OUT:
        return f"kubectl rollout undo {_words(event)} -- {quote(event.name)}"
    return f"kubectl get {_words(event)} -o yaml -- {quote(event.name)}"


def _look(event: Event) -> str:
    return f"kubectl get {_words(event)} --sort-by=.metadata.creationTimestamp"


def _words(event: Event, resource: str = "") -> str:
    """Return the resource, without the subresource, and its namespace as kubectl takes them; both quoted."""
    written = resource or (f"{event.resource}.{event.group}" if event.group else event.resource)
    return quote(written) + (f" --namespace={quote(event.namespace)}" if event.namespace else "")


_WRITES = frozenset({"create", "update", "patch"})
_CREATED = 201
_ROLLED_OUT = frozenset({"deployments.apps", "daemonsets.apps", "statefulsets.apps"})
# Written all the time and gone by themselves, or answered and never stored.
_PASSING = frozenset({"events", "leases", "endpoints", "endpointslices"})
_PASSING_GROUPS = frozenset({"authorization.k8s.io", "authentication.k8s.io", "events.k8s.io"})
_WRITTEN = Pattern(("create", "update", "patch"), (), "wrote {object}")
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
    ("certificatesigningrequests", "approval"): _certificate,
    ("pods", "ephemeralcontainers"): _container,
    **{(resource, ""): _guard for resource in _GUARDS},
}
