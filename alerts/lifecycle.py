"""An alert's states and the moves between them, its verdicts, and what must be answered before it may be closed."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from alerts import playbook


class Status(StrEnum):
    """Where an alert stands."""

    NEW = "new"
    IN_PROGRESS = "in_progress"
    WAITING = "waiting"
    CLOSED = "closed"


LABELS = {
    Status.NEW: "New",
    Status.IN_PROGRESS: "In progress",
    Status.WAITING: "Waiting",
    Status.CLOSED: "Closed",
}

MOVES: Mapping[Status, frozenset[Status]] = {
    Status.NEW: frozenset({Status.IN_PROGRESS, Status.WAITING, Status.CLOSED}),
    Status.IN_PROGRESS: frozenset({Status.WAITING, Status.CLOSED}),
    Status.WAITING: frozenset({Status.IN_PROGRESS, Status.CLOSED}),
    Status.CLOSED: frozenset({Status.IN_PROGRESS}),
}


class Verdict(StrEnum):
    """What an alert turned out to be."""

    MALICIOUS = "malicious"
    POLICY_VIOLATION = "policy_violation"
    BENIGN = "benign"
    FALSE_POSITIVE = "false_positive"
    DUPLICATE = "duplicate"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class VerdictMeaning:
    """A verdict in people's words, and the steps that must be answered before an alert closes with it."""

    label: str
    help: str
    needs: tuple[str, ...]


_QUESTIONS = tuple(step.key for step in playbook.INVESTIGATION)
_EVERYTHING = tuple(step.key for step in playbook.STEPS)

VERDICTS: Mapping[Verdict, VerdictMeaning] = {
    Verdict.MALICIOUS: VerdictMeaning("Malicious", "An intruder, or an insider acting against us.", _EVERYTHING),
    Verdict.POLICY_VIOLATION: VerdictMeaning(
        "Policy violation", "No bad intent, but it should not have been possible.", _EVERYTHING
    ),
    Verdict.BENIGN: VerdictMeaning("Benign", "Entitled, and the permissions are justified.", _QUESTIONS),
    Verdict.FALSE_POSITIVE: VerdictMeaning("False positive", "The detection is wrong: this did not happen.", ()),
    Verdict.DUPLICATE: VerdictMeaning("Duplicate", "Another alert covers it.", ()),
    Verdict.INCONCLUSIVE: VerdictMeaning("Inconclusive", "The evidence does not suffice to tell.", _QUESTIONS),
}


class MoveRefused(Exception):
    """A move that an alert's state does not allow; its text is the sentence people see."""


def check_move(old: Status, new: Status) -> None:
    """Refuse a move that does not exist.

    Raises MoveRefused.
    """
    if new not in MOVES[old]:
        raise MoveRefused(f"An alert that is {LABELS[old].lower()} cannot become {LABELS[new].lower()}.")


def unanswered(verdict: Verdict, answered: frozenset[str]) -> list[playbook.Step]:
    """Return the steps that still need an answer before an alert may close with this verdict, in playbook order."""
    return [playbook.step(key) for key in VERDICTS[verdict].needs if key not in answered]


def check_closing(verdict: Verdict, *, answered: frozenset[str], reason: str) -> None:
    """Refuse closing without the answers that the verdict needs, or without a reason.

    Raises MoveRefused naming what is missing.
    """
    missing = unanswered(verdict, answered)
    if missing:
        names = ", ".join(f"“{step.title}”" for step in missing)
        raise MoveRefused(f"Closing as {VERDICTS[verdict].label.lower()} needs an answer to {names}.")
    if not reason.strip():
        raise MoveRefused("Say in a sentence why: the next analyst will want to know.")
