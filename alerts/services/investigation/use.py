"""Question 3: what was done with it, request by request, and what its maker and its holders did besides."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cached_property
from typing import Any

from alerts.audit.event import Event
from alerts.services.investigation.acts import Act, Outcome, act_of, outcome_of, request_of, told, who
from alerts.services.investigation.attack import TECHNIQUES, Purpose
from alerts.services.investigation.case import Case
from alerts.services.investigation.timeline import entries

_TIMELINE = 60
_REQUESTS = 40
_USERS = 20
# What speaks for an intruder, gravest first; discovery alone does not.
GRAVE = (
    Purpose.EXFILTRATION,
    Purpose.PERSISTENCE,
    Purpose.ESCALATION,
    Purpose.COVERING_TRACKS,
    Purpose.EXECUTION,
    Purpose.DESTRUCTION,
)


class Use:
    """What was done since the alert, worked out once for the page, the remedy and the story."""

    def __init__(self, case: Case) -> None:
        self.case = case

    @cached_property
    def acts(self) -> list[Act]:
        """Everything worth telling that the maker and the holders did, one act for each request."""
        return [act for event in self.case.since.events if (act := act_of(event))]

    @cached_property
    def told(self) -> list[Act]:
        """The same with those alike told as one."""
        return told(self.acts)

    def is_besides(self, act: Act) -> bool:
        """Tell whether an act is the maker's own, under other permissions than the role's."""
        return self.case.by_actor(act.event) and not self.case.permitted(act.event)

    @cached_property
    def with_it(self) -> list[Act]:
        """What was done with the role, or by those who hold it."""
        return told(act for act in self.acts if not self.is_besides(act))

    def evidence(self) -> dict[str, Any]:
        """Return the evidence for the step, as plain JSON."""
        if self.case.alert.attempted:
            return self._shared() | {"summary": self._attempted(), "chips": []}
        return self._shared() | {"summary": self._summary(), "chips": self._chips()}

    def _shared(self) -> dict[str, Any]:
        through = self.case.through
        return {
            "permitted": len(through),
            "by": [_by(username, events) for username, events in _grouped(through)[:_USERS]],
            "timeline": entries(self.told, day=self.case.alert.happened_at.date(), limit=_TIMELINE),
            "techniques": self._techniques(),
            "refused": sum(outcome_of(event) == Outcome.REFUSED for event in self.case.since.events),
            "feeds": self._feeds(),
            "searched": {
                "since": self.case.alert.happened_at.isoformat(),
                "requests": len(self.case.since.events),
                "gaps": self.case.since.gaps,
            },
        }

    def _summary(self) -> str:
        count = len(self.case.through)
        if not count:
            return "No request was permitted by this role so far."
        people = len({who(event) for event in self.case.through})
        requests = "1 request was" if count == 1 else f"{count} requests were"
        return f"{requests} permitted by this role{f', to {people} identities' if people > 1 else ''}."

    def _attempted(self) -> str:
        done = [act for act in self.told if act.outcome == Outcome.DONE and act.heat]
        if not done:
            return "It was refused, and its maker did nothing remarkable since."
        return f"It was refused; its maker has since done {len(done)} thing{'' if len(done) == 1 else 's'} to look at."

    def _chips(self) -> list[list[str]]:
        done = Counter(act.purpose for act in self.with_it if act.outcome == Outcome.DONE and act.heat)
        found = [purpose for purpose in GRAVE if purpose in done]
        return [["critical", purpose.value] for purpose in found[:3]]

    def _techniques(self) -> list[list[str]]:
        seen = Counter(technique for act in self.with_it for technique in act.techniques)
        return [[technique, TECHNIQUES[technique]] for technique, _ in seen.most_common()]

    def _feeds(self) -> list[str]:
        """Return the aggregated roles it feeds: what it adds to them is used under their names."""
        ref = self.case.ref
        return (
            [] if ref is None or self.case.alert.attempted else [each.name for each in self.case.access.aggregates(ref)]
        )


def _grouped(events: Iterable[Event]) -> list[tuple[str, list[Event]]]:
    groups: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        groups[who(event)].append(event)
    return sorted(groups.items(), key=lambda pair: -len(pair[1]))


def _by(username: str, events: list[Event]) -> dict[str, Any]:
    """Return what one identity was permitted by the role, each kind of request once, the most frequent first."""
    kinds: defaultdict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in events:
        kinds[str(request_of(event)), outcome_of(event).value].append(event)
    ordered = sorted(kinds.items(), key=lambda pair: -len(pair[1]))
    bindings = {f"{grant.binding_kind} {grant.binding_name}" for event in events if (grant := event.allowed_by)}
    return {
        "who": username,
        "count": len(events),
        "bindings": sorted(bindings),
        "requests": [_kind(request, outcome, found) for (request, outcome), found in ordered[:_REQUESTS]],
        "left_out": max(0, len(ordered) - _REQUESTS),
    }


def _kind(request: str, outcome: str, events: list[Event]) -> dict[str, Any]:
    times = [event.at for event in events if event.at]
    codes = sorted({event.code for event in events if event.code is not None})
    return {
        "request": request,
        "outcome": outcome,
        "count": len(events),
        "codes": codes,
        "first": min(times).isoformat() if times else "",
        "last": max(times).isoformat() if times else "",
        "audit_ids": [event.audit_id for event in events[:5]],
    }
