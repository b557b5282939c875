"""The rehearsal: the cluster itself says what each step of a plan would do, and changes nothing."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from alerts.cluster.api import ClusterAPI
from alerts.cluster.errors import Conflict, Forbidden, Invalid, NotFound, Refused
from alerts.services.revocation.attempt import attempt
from alerts.services.revocation.targets import Target


class Rehearsed(msgspec.Struct, frozen=True):
    """The cluster's answer to one step.

    `outcome` is accepted, held (accepted, but finalizers would keep the object in force), changed, gone, forbidden,
    refused, or impossible (the cluster cannot rehearse it).
    """

    outcome: str
    text: str

    @property
    def passed(self) -> bool:
        """Whether nothing stands in the way of the real thing, as far as a rehearsal can tell."""
        return self.outcome in {"accepted", "held", "gone", "impossible"}


def rehearse(api: ClusterAPI, targets: Iterable[Target], *, name: Callable[[str], str]) -> Iterator[Rehearsed]:
    """Yield the cluster's answer to each step by dryRun=All, with the preconditions of the real one.

    A dry run is authenticated, authorised, admitted and checked against its preconditions like a real request; only
    storing is left out (KEP-576). `name` returns the Audit-ID of the call about a target of that key. Raises
    ClusterError where the cluster cannot be asked at all.
    """
    for target in targets:
        yield _rehearse(api, target, audit_id=name(target.key))


def _rehearse(api: ClusterAPI, target: Target, *, audit_id: str) -> Rehearsed:
    try:
        deletion = attempt(api, target, dry_run=True, audit_id=audit_id)
    except NotFound:
        return Rehearsed("gone", "It is gone already.")
    except Conflict as conflict:
        return Rehearsed("changed", str(conflict))
    except Forbidden as forbidden:
        return Rehearsed("forbidden", str(forbidden))
    except Refused as refused:
        return Rehearsed("refused", str(refused))
    except Invalid as invalid:
        # A webhook that does not declare its side effects makes every dry run fail with 400.
        return Rehearsed("impossible", f"It cannot be rehearsed. {invalid}")
    finalizers = target.content["metadata"].get("finalizers") or (deletion and deletion.finalizers)
    if target.action == "delete" and finalizers:
        return Rehearsed("held", f"Accepted, but {', '.join(finalizers)} would keep it in force for a while.")
    return Rehearsed("accepted", "The cluster accepts it.")
