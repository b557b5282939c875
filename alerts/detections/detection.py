"""What a detection says: something happened that may need a person."""

import hashlib
from dataclasses import dataclass

from alerts.audit.event import Event


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing found in an event.

    `cause` is what makes it that thing and no other: the same cause found again, in a repeated event or in another
    envelope, is the same finding. The object's name and uid are "" where they are unknown. `attempted` tells that it
    was refused, or that nobody knows whether it was carried out.
    """

    detection: str
    cause: str
    title: str
    event: Event
    kind: str
    namespace: str
    name: str
    uid: str
    attempted: bool = False

    @property
    def fingerprint(self) -> str:
        """The cause as a key, 64 hexadecimal digits."""
        return hashlib.sha256(f"{self.detection}\0{self.cause}".encode("utf-8", "surrogatepass")).hexdigest()
