"""What a detection says: something happened that may need a person. And what it may ask about the cluster."""

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

from alerts import rbac
from alerts.audit.event import Event

type Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found in an event, or in the want of one.

    `cause` is what makes it that thing and no other: the same cause found again, in a repeated event or in another
    envelope, is the same finding. `kind` is that of the object it is about, "" for none; the object's name and uid are
    "" where they are unknown. `attempted` tells that it was refused; what may have been carried out is no attempt.
    `by` is who did it, where no event says so. `recurring` tells that the same cause found in something new needs a
    person again, who may have closed its alert. `repetitive` tells that of more events with the same cause nobody would
    learn more: of a batch's the first one is kept.
    """

    detection: str
    cause: str
    title: str
    event: Event | None
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    attempted: bool = False
    by: str = ""
    recurring: bool = False
    repetitive: bool = False

    @property
    def actor(self) -> str:
        """Who did it; "" where nobody knows."""
        return self.event.actor if self.event is not None else self.by

    @property
    def fingerprint(self) -> str:
        """The cause as a key, 64 hexadecimal digits."""
        return hashlib.sha256(f"{self.detection}\0{self.cause}".encode("utf-8", "surrogatepass")).hexdigest()


class Known(Protocol):
    """What is known of the cluster that an event comes from."""

    def before(self, event: Event, kind: str, after: Manifest | None, /) -> Manifest | None:
        """Return a role or binding as it was last seen before an event left it as `after`; None where nobody saw it."""

    def first(self, event: Event, kind: str, uid: str, /) -> Manifest | None:
        """Return the role or binding of this uid that an event is about as it was first seen; None where nobody did."""

    def access(self) -> rbac.Access:
        """Return who may do what on the cluster."""


class NothingKnown:
    """What is known of a cluster that nobody ever looked at."""

    def before(self, *_: object) -> None:
        """Return None: it is unknown."""

    def first(self, *_: object) -> None:
        """Return None: it is unknown."""

    def access(self) -> rbac.Access:
        """Return an empty cluster."""
        return rbac.Access()


NOTHING_KNOWN = NothingKnown()
