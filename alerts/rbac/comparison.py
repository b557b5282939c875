"""What changed between two sets of rules, exactly: the verdict, and every gain and loss with the rule it came from."""

from dataclasses import dataclass, field
from enum import Enum, StrEnum
from functools import cached_property
from typing import Final

from alerts.rbac.boxes import Box, UrlBox
from alerts.rbac.coverage import covers
from alerts.rbac.difference import Boxes, TooMuchWork, compact, subtract
from alerts.rbac.examples import example
from alerts.rbac.request import Request
from alerts.rbac.rules import Rules, RuleSet, parse
from alerts.rbac.wording import describe


class Verdict(StrEnum):
    """How what the new rules permit stands to what the old ones did."""

    NEW_ACCESS = "new access"
    NARROWED = "narrowed"
    EQUIVALENT = "equivalent"
    MIXED = "mixed"
    UNKNOWN = "unknown"


class Baseline(Enum):
    """What stands in for rules that nobody saw."""

    UNSEEN = "unseen"

    def __repr__(self) -> str:
        return self.name


UNSEEN: Final = Baseline.UNSEEN


@dataclass(frozen=True)
class Part:
    """A piece of access: a box, the rules it came from, and a request that is in it.

    `rules` are indexes into the rules it is part of: the new ones for gains and common access, the old for losses.
    """

    box: Box | UrlBox

    @property
    def rules(self) -> tuple[int, ...]:
        """The indexes of the rules this came from."""
        return self.box.rules

    @cached_property
    def example(self) -> Request:
        """A concrete request out of the piece."""
        return example(self.box)

    @cached_property
    def text(self) -> str:
        """The piece in people's words."""
        return describe(self.box)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Comparison:
    """The outcome of comparing two sets of rules.

    `gained` and `lost` are the differences as boxes; `gains` and `losses` the same in fewer pieces with examples.
    `cut_off` is "" or says in plain words why there are no lists; the verdict is then still exact, or UNKNOWN.
    """

    old: RuleSet | Baseline
    new: RuleSet | Baseline
    verdict: Verdict
    cut_off: str = ""
    gained: Boxes = field(default_factory=Boxes, repr=False, compare=False)
    lost: Boxes = field(default_factory=Boxes, repr=False, compare=False)

    @cached_property
    def gains(self) -> tuple[Part, ...]:
        """What the new rules permit and the old did not."""
        return parts(self.gained)

    @cached_property
    def losses(self) -> tuple[Part, ...]:
        """What the old rules permitted and the new do not."""
        return parts(self.lost)

    @cached_property
    def kept(self) -> Boxes:
        """What both permit, as boxes. Empty where a side is unseen or the comparison was cut off."""
        if self.cut_off or isinstance(self.old, Baseline) or isinstance(self.new, Baseline):
            return Boxes()
        try:
            return subtract(self.new.boxes, self.gained)
        except TooMuchWork:
            return Boxes()

    @cached_property
    def common(self) -> tuple[Part, ...]:
        """What both permit, with the indexes of the new rules."""
        return parts(self.kept)

    @property
    def grants_new_access(self) -> bool:
        """Whether access is new: the question that `--fail-on-new-access` asks."""
        return self.verdict in {Verdict.NEW_ACCESS, Verdict.MIXED}


def parts(boxes: Boxes) -> tuple[Part, ...]:
    """Return boxes as pieces for people: few, each with an example."""
    return tuple(Part(box) for box in compact(boxes))


def compare(old: Rules | Baseline, new: Rules | Baseline) -> Comparison:
    """Compare what two sets of rules permit, in the open world: verbs and resources that do not exist yet count too.

    Either side may be UNSEEN, where nobody knows what the rules were; the verdict is then UNKNOWN. None is no rules.
    Order, repeats and splitting of rules make no difference.
    Raises InvalidRules.
    """
    if isinstance(old, Baseline) or isinstance(new, Baseline):
        sides = [side if isinstance(side, Baseline) else parse(side) for side in (old, new)]
        return Comparison(sides[0], sides[1], Verdict.UNKNOWN)
    before, after = parse(old), parse(new)
    try:
        gains, losses = subtract(after.boxes, before.boxes), subtract(before.boxes, after.boxes)
    except TooMuchWork as too_much:
        return Comparison(before, after, _verdict_without_lists(before, after), str(too_much))
    return Comparison(before, after, _verdict(bool(gains), bool(losses)), "", gains, losses)


def _verdict(gains: bool, losses: bool) -> Verdict:
    if gains:
        return Verdict.MIXED if losses else Verdict.NEW_ACCESS
    return Verdict.NARROWED if losses else Verdict.EQUIVALENT


def _verdict_without_lists(before: RuleSet, after: RuleSet) -> Verdict:
    try:
        return _verdict(gains=not covers(before, after), losses=not covers(after, before))
    except TooMuchWork:
        return Verdict.UNKNOWN
