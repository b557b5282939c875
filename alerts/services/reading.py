"""A batch read once: the events that may matter in full, and of all the others what is to be remembered of them.

Nothing here asks the database or the cluster, so this is what `benchmarks.intake` measures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from alerts import detections
from alerts.audit.decode import Decoded
from alerts.audit.event import Event
from alerts.audit.glance import Glance, skim
from alerts.services import mentions, stream, tripwire


@dataclass(frozen=True, slots=True)
class Reading:
    """What was in a batch: the events that may matter, what is damaged, and how many were passed over.

    `mentioned` is the index of all of them, `earliest` and `latest` are when the first and the last came in, and
    `canaries` are the audit ids of those that only prove that the stream lives.
    """

    decoded: Decoded
    passed_over: int
    mentioned: str
    earliest: datetime | None
    latest: datetime | None
    canaries: tuple[str, ...]

    @property
    def sound(self) -> int:
        """How many items are events without damage; with the damaged ones that is all there were."""
        return self.decoded.sound + self.passed_over

    @property
    def examined(self) -> int:
        """How many events could be read, salvaged ones among them."""
        return len(self.decoded.events) + self.passed_over


def read(body: bytes, awaited: tripwire.Awaited = tripwire.NOTHING) -> Reading:
    """Read a body, decoding in full what any detection may find something in, and what may be awaited."""
    skimmed = skim(body, _judgement(awaited))
    events, routine = skimmed.decoded.events, skimmed.routine
    times = [glance.request_received_timestamp for glance in routine]
    times += [event.at for event in events if event.at]
    times.sort()
    return Reading(
        decoded=skimmed.decoded,
        passed_over=len(routine),
        mentioned=mentions.of(events, routine),
        earliest=times[0] if times else None,
        latest=times[-1] if times else None,
        # Their ids are longer than those that API servers make, so no routine event is one.
        canaries=tuple(stream.canaries(events)),
    )


def may_matter(event: Event | Glance, awaited: tripwire.Awaited) -> bool:
    """Tell whether something may come of an event: of all others no more is needed than that they were there."""
    return _judgement(awaited)(event)


def _judgement(awaited: tripwire.Awaited) -> Callable[[Event | Glance], bool]:
    if not awaited.places:
        # Each event there is is judged: where nothing is awaited, by one call and not by two.
        return detections.may_matter
    return lambda event: detections.may_matter(event) or tripwire.creates(event)
