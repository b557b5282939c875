"""What a person must know before a plan is run. None of it forbids the plan; grave ones ask for the typed name."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec
from django.contrib.auth.models import User

from alerts import rbac
from alerts.cluster.api import Identity
from alerts.models import Alert, Revocation
from alerts.services.revocation.losses import Change, Loss
from alerts.services.revocation.owners import returning
from alerts.services.revocation.rehearsal import Rehearsed
from alerts.services.revocation.targets import Manifest, Target

# A creationTimestamp has whole seconds, and an audit event the time at which its request came in.
_SAME_MOMENT = timedelta(seconds=5)
_CONTROL_PLANE = (
    "system:kube-apiserver",
    "system:kube-controller-manager",
    "system:kube-proxy",
    "system:kube-scheduler",
    "system:nodes",
)


class Caution(msgspec.Struct, frozen=True):
    """One thing to know; a grave one could hurt more than the role does."""

    text: str
    grave: bool = False


def cautions(alert: Alert, change: Change, rehearsed: Iterable[Rehearsed], ourselves: Identity | None) -> list[Caution]:
    """Return what to know about a plan, the grave first."""
    found = change.found
    everything = [
        *_of_identity(alert, found.role or next(iter(found.bindings), None)),
        *of_reach(change),
        *of_ourselves(change, ourselves),
        *(Caution(f"{target} {sentence}") for target in change.targets for sentence in returning(target.content)),
        *of_rehearsal(change.targets, rehearsed),
    ]
    return sorted(everything, key=lambda caution: not caution.grave)


def personal(revocation: Revocation, person: User) -> list[Caution]:
    """Return what this person must know besides: that it is their own access."""
    names = {name for name in (person.username, person.email) if name}
    losses = msgspec.convert(revocation.effects.get("losses", []), list[Loss])
    if names.isdisjoint(loss.username for loss in losses):
        return []
    return [Caution("It takes away access of your own account.", grave=True)]


def _of_identity(alert: Alert, live: Manifest | None) -> Iterator[Caution]:
    """Warn where the object is not the very one the alert is about, or nothing proves that it is."""
    if live is None:
        return
    metadata = live["metadata"]
    if alert.object_uid:
        if metadata["uid"] != alert.object_uid:
            yield Caution(
                f"This is not the object of the alert (uid {alert.object_uid}): it was deleted and made again as "
                f"{metadata['uid']}, {metadata['creationTimestamp']}. Look at what it is now.",
                grave=True,
            )
        return
    made = datetime.fromisoformat(metadata["creationTimestamp"])
    if abs(made - alert.happened_at) > _SAME_MOMENT:
        yield Caution(
            "The audit log gives no uid for the object of the alert, and this one was made at another time "
            f"({metadata['creationTimestamp']}).",
            grave=True,
        )


def of_reach(change: Change) -> Iterator[Caution]:
    """Warn of losses beyond the role's own holders."""
    feeds = change.feeds()
    if feeds:
        yield Caution(
            f"It is part of {', '.join(map(str, feeds))}: everybody who holds those loses its rules too.", grave=True
        )
    for subject, _ in change.holders():
        if subject.name in _CONTROL_PLANE or (subject.namespace == "kube-system" and _controls(change, subject)):
            yield Caution(f"{subject} belongs to the control plane.", grave=True)
    administrator = rbac.RoleRef("ClusterRole", "cluster-admin")
    remaining = [each for each in change.after.bindings_of(administrator) if not each.namespace and each.subjects]
    if not remaining and any(each.role == administrator for each in change.bindings):
        yield Caution("It is the last binding that makes anybody cluster-admin.", grave=True)


def _controls(change: Change, subject: rbac.Subject) -> bool:
    """Tell whether Kubernetes itself gives an account a controller's role."""
    return any(each.role.name.startswith("system:controller:") for each in change.before.grants(subject))


def of_ourselves(change: Change, ourselves: Identity | None) -> Iterator[Caution]:
    """Warn where our own account is among those who lose something."""
    if ourselves is None:
        return
    me = rbac.Subject.of_user(ourselves.username)
    if any(subject == me for subject, _ in change.holders()):
        yield Caution(
            "It takes away Rolecall’s own access: afterwards Rolecall may be unable to finish or to verify.", grave=True
        )


def of_rehearsal(targets: Sequence[Target], rehearsed: Iterable[Rehearsed]) -> Iterator[Caution]:
    """Warn of what finalizers would keep, and of what cannot be rehearsed."""
    for target, answer in zip(targets, rehearsed, strict=False):
        if answer.outcome in {"held", "impossible"}:
            yield Caution(f"{target}: {answer.text}")
