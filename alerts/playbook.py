"""The checklist that walks an analyst from a created role to a closed alert: three questions, five steps."""

from dataclasses import dataclass
from enum import StrEnum


class Part(StrEnum):
    """The two halves of the checklist."""

    INVESTIGATION = "investigation"
    RESOLUTION = "resolution"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way to answer a step. An alarming outcome is one that speaks for malice."""

    key: str
    label: str
    alarming: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One item of the checklist, with the question it asks and the outcomes it may have."""

    key: str
    part: Part
    title: str
    question: str
    outcomes: tuple[Outcome, ...]

    def outcome(self, key: str) -> Outcome:
        """Return the outcome of that key.

        Raises KeyError.
        """
        for outcome in self.outcomes:
            if outcome.key == key:
                return outcome
        raise KeyError(key)


INVESTIGATION = (
    Step(
        "creator",
        Part.INVESTIGATION,
        "Who created it",
        "Who created the role, and were they entitled to?",
        (
            Outcome("authorised", "Authorised"),
            Outcome("not_authorised", "Not authorised", alarming=True),
            Outcome("unclear", "Can’t tell"),
        ),
    ),
    Step(
        "permissions",
        Part.INVESTIGATION,
        "What it permits",
        "Is it excessive, sensitive, or out of line with other roles?",
        (
            Outcome("justified", "Justified"),
            Outcome("excessive", "Excessive", alarming=True),
            Outcome("unclear", "Can’t tell"),
        ),
    ),
    Step(
        "use",
        Part.INVESTIGATION,
        "What was done with it",
        "Was there unauthorised access, change, exfiltration or persistence?",
        (
            Outcome("nothing", "Nothing wrong"),
            Outcome("misused", "Misused", alarming=True),
            Outcome("unclear", "Can’t tell"),
        ),
    ),
)

RESOLUTION = (
    Step(
        "revoke",
        Part.RESOLUTION,
        "Revoke",
        "Is the role gone, or is there a reason to keep it?",
        (Outcome("revoked", "Revoked"), Outcome("kept", "Kept on purpose")),
    ),
    Step(
        "policies",
        Part.RESOLUTION,
        "Review policies",
        "Which policies should have prevented this?",
        (Outcome("reviewed", "Reviewed"), Outcome("not_needed", "Not needed")),
    ),
    Step(
        "remedy",
        Part.RESOLUTION,
        "Remedy",
        "Is what was exploited and left behind dealt with?",
        (
            Outcome("remedied", "Remedied"),
            Outcome("nothing_left", "Nothing was left behind"),
            Outcome("not_needed", "Not needed"),
        ),
    ),
    Step(
        "watch",
        Part.RESOLUTION,
        "Watch",
        "Will we notice when it comes back?",
        (Outcome("watching", "Watching"), Outcome("not_needed", "Not needed")),
    ),
    Step(
        "tell",
        Part.RESOLUTION,
        "Tell the stakeholders",
        "Does everybody know who must know?",
        (Outcome("told", "Told"), Outcome("not_needed", "Not needed")),
    ),
)

STEPS = INVESTIGATION + RESOLUTION


def step(key: str) -> Step:
    """Return the step of that key.

    Raises KeyError.
    """
    for candidate in STEPS:
        if candidate.key == key:
            return candidate
    raise KeyError(key)
