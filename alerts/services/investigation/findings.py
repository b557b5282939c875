"""What a search of the stored batches found for an investigation, and what it did not look at."""

from dataclasses import dataclass, field
from itertools import islice

from alerts.audit.event import Event
from alerts.services import evidence

# Of one search no more events are held at once.
EVENTS = 10_000


@dataclass
class Findings:
    """The requests of a search, in order of time, and whether they are all there were."""

    events: list[Event] = field(default_factory=list)
    opened: int = 0
    left_out: int = 0
    unreadable: int = 0
    cut: bool = False

    @classmethod
    def of(cls, search: evidence.Search) -> "Findings":
        """Run a search."""
        found = list(islice(search, EVENTS + 1))
        return cls(
            evidence.requests(found[:EVENTS]),
            search.opened,
            search.left_out,
            search.unreadable,
            cut=len(found) > EVENTS,
        )

    @property
    def gaps(self) -> str:
        """What was not looked at, in a sentence, or "" where everything was."""
        if self.cut or self.left_out:
            count = f"{self.left_out:,}" + (" or more" if self.left_out >= evidence.COUNTED else " more")
            batches = f", and {count} batches were not opened" if self.left_out else ""
            return f"Not all: the search stopped after {len(self.events)} requests{batches}."
        if self.unreadable:
            batches = "1 batch was" if self.unreadable == 1 else f"{self.unreadable} batches were"
            return f"Not all: {batches} stored under a key that is not in CREDENTIAL_KEYS."
        return ""
