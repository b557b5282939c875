"""What a search of the stored batches found for an investigation, and what it did not look at."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from alerts.audit.event import Event
from alerts.audit.glance import Glance
from alerts.services import evidence
from alerts.services.investigation import attack
from alerts.services.investigation.acts import resource_of

# Of one search no more events are held at once, of those that are the same kind of act no more than OF_A_KIND, and of
# those that are none no more than OF_NO_KIND.
EVENTS, OF_A_KIND, OF_NO_KIND = 10_000, 500, 4_000


@dataclass
class Findings:
    """The requests of a search, in order of time, and whether they are all there were.

    `purged_until` is the time before which not all are known any more that earlier investigations found.
    """

    events: list[Event] = field(default_factory=list)
    opened: int = 0
    left_out: int = 0
    unreadable: int = 0
    cut: bool = False
    purged_until: datetime | None = None

    @classmethod
    def of(cls, search: evidence.Search) -> "Findings":
        """Run a search, and hold so many of each kind of event that nobody can crowd out another with it."""
        room = _Room(search)
        found = [event for event in search.events(room.has_enough) if room.takes(event)]
        return cls(evidence.requests(found), search.opened, search.left_out, search.unreadable, room.cut)

    @property
    def gaps(self) -> str:
        """What was not looked at, in a sentence, or "" where everything was."""
        gaps = ["of what was done again and again the first requests were looked at"] if self.cut else []
        if self.left_out:
            gaps.append(
                f"batches not opened: {self.left_out:,}{' or more' if self.left_out >= evidence.COUNTED else ''}"
            )
        if self.purged_until is not None:
            gaps.append(
                f"of the time before {self.purged_until:%Y-%m-%d %H:%M} UTC only a part is held, the rest is purged"
            )
        if self.unreadable:
            parts = "1 stored part is" if self.unreadable == 1 else f"{self.unreadable} stored parts are"
            gaps.append(f"{parts} under a key that is not in CREDENTIAL_KEYS")
        return f"Not all: {'; '.join(gaps)}." if gaps else ""


type _Kind = tuple[bool, attack.Pattern | None]


class _Room:
    """How many events of each kind are held: of what a role permitted, of whatever kind, as many again as of others."""

    def __init__(self, search: evidence.Search) -> None:
        self._search = search
        self._counts: Counter[_Kind] = Counter()
        self.cut = False

    def has_enough(self, event: Event | Glance) -> bool:
        """Tell whether there is no room for another event of that kind."""
        return self._is_full(self._kind(event))

    def takes(self, event: Event) -> bool:
        """Count an event where there is room for it, and tell whether there was."""
        kind = self._kind(event)
        if self._is_full(kind):
            return False
        self._counts[kind] += 1
        return True

    def _is_full(self, kind: _Kind) -> bool:
        full = self._counts[kind] >= (OF_A_KIND if kind[1] else OF_NO_KIND) or self._counts.total() >= EVENTS
        self.cut = self.cut or full
        return full

    def _kind(self, event: Event | Glance) -> _Kind:
        return self._search.permitted(event), attack.pattern_of(event.verb, resource_of(event))
