"""What became of one object of a plan, whatever the cluster answered."""

import contextlib

import msgspec

from alerts.cluster.api import ClusterAPI
from alerts.cluster.errors import (
    ClusterError,
    Forbidden,
    Invalid,
    NotFound,
    Refused,
    UidConflict,
    Unanswered,
    VersionConflict,
)
from alerts.services.revocation.attempt import attempt
from alerts.services.revocation.targets import Target


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to one object, in the order of the plan.

    `outcome` is sent (an answer is still owed: the worker may have been stopped), deleted, emptied, unlabelled, gone
    (before we came), changed, replaced, forbidden, refused, failed, ending (a pod whose containers are being stopped),
    or held (still in force, by a finalizer). `ended` says that the object grants nothing any more.
    """

    key: str
    outcome: str
    text: str
    ended: bool
    audit_id: str
    at: str

    @property
    def settled(self) -> bool:
        """Whether nothing is owed any more for this object."""
        return self.outcome != "sent"


ENDED = frozenset({"deleted", "emptied", "unlabelled", "gone"})


def execute(api: ClusterAPI, target: Target, *, audit_id: str, sent_before: bool) -> tuple[str, str]:
    """Do one step and return its outcome with a sentence.

    `sent_before` says that the same request went out earlier and its answer was lost, so that an absent object is one
    that we took away. Raises the ClusterErrors that concern the cluster rather than this object: an unreachable or
    overloaded one, a rejected token.
    """
    try:
        deletion = attempt(api, target, audit_id=audit_id)
    except NotFound:
        return ("deleted", _LATE) if sent_before else ("gone", "It was gone already.")
    except UidConflict:
        return _replaced(target, sent_before=sent_before)
    except VersionConflict:
        return _after_a_conflict(api, target, sent_before=sent_before)
    except (Forbidden, Refused, Invalid) as refusal:
        return _REFUSALS[type(refusal)], str(refusal)
    except Unanswered:
        return _find_out(api, target)
    if deletion is None:
        return _TAKEN[target.action]
    return ("deleted", "The cluster deleted it.") if deletion.finished else _held(target, deletion.finalizers)


_REFUSALS: dict[type[ClusterError], str] = {Forbidden: "forbidden", Refused: "refused", Invalid: "failed"}
_TAKEN = {
    "empty": ("emptied", "Its rules are empty."),
    "unlabel": ("unlabelled", "Its labels are off: it feeds no other role any more."),
}
_LATE = "Deleted: our request went out before, and the object is gone."


def _find_out(api: ClusterAPI, target: Target) -> tuple[str, str]:
    """Look what a request came to whose answer never came. Raises the first error if it cannot be told."""
    try:
        return _state(api, target)
    except NotFound:
        return "deleted", _LATE


def _state(api: ClusterAPI, target: Target) -> tuple[str, str]:
    """Return what the object's present state says of a step that was sent.

    Raises NotFound where there is none; Unsettled where the step did not take effect.
    """
    live = api.read(target.reference)
    metadata = live["metadata"]
    if metadata["uid"] != target.uid:
        return _replaced(target, sent_before=True)
    if target.action != "delete":
        if target.taken_from(live):
            return _TAKEN[target.action]
    elif metadata.get("deletionTimestamp"):
        return _held(target, tuple(metadata.get("finalizers") or ()))
    raise Unsettled


class Unsettled(ClusterError):
    """A request without an answer that did not take effect: it can be sent again."""

    transient = True


def _replaced(target: Target, *, sent_before: bool) -> tuple[str, str]:
    if sent_before:
        return "deleted", f"The planned object is gone. Another {target.kind} of its name was made since: plan anew."
    return "replaced", "It was deleted and made again since the plan. The new object was not touched: plan anew."


def _after_a_conflict(api: ClusterAPI, target: Target, *, sent_before: bool) -> tuple[str, str]:
    """Tell our own earlier change, whose answer was lost, from somebody else's."""
    if sent_before:
        with contextlib.suppress(Unsettled):
            return _find_out(api, target)
    return "changed", "It was changed since the plan and was not touched: look at what changed and plan anew."


def _held(target: Target, finalizers: tuple[str, ...]) -> tuple[str, str]:
    if target.kind == "Pod" and not finalizers:
        return "ending", "Its containers are being stopped; the pod goes when they have ended."
    by = ", ".join(finalizers) or "a finalizer"
    return "held", f"Deletion began, but {by} keeps it: it is still in force until that is taken off."
