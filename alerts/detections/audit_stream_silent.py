"""A cluster's audit events stopped coming. Silence looks like peace, and is what somebody who hides would bring about.

ATT&CK: T1562.012, Disable or Modify Linux Audit System, is the closest.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from alerts.detections.detection import Finding

NAME = "audit_stream_silent"
# So many batches must have come before a cluster has a usual rate, and so many usual gaps make a silence.
_ENOUGH = 20
_USUAL_GAPS = 3


class Sign(StrEnum):
    """What tells that a stream is silent."""

    CANARY = "canary"
    SILENCE = "silence"


@dataclass(frozen=True, slots=True)
class Canary:
    """A request of ours: when it was sent, and when its event arrived, if it did."""

    sent_at: datetime
    seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class Silence:
    """A stream that is silent: since when, and what tells so."""

    since: datetime
    sign: Sign


def unanswered(canaries: Sequence[Canary]) -> datetime | None:
    """Return when the first canary was sent of those after the last one whose event arrived; None where there is none.

    None too where no canary's event ever arrived: then the audit policy does not record them, and they prove nothing.
    """
    answered = [each.sent_at for each in canaries if each.seen_at is not None]
    if not answered:
        return None
    later = [each.sent_at for each in canaries if each.seen_at is None and each.sent_at > max(answered)]
    return min(later, default=None)


def usual_gap(arrivals: Sequence[datetime]) -> timedelta | None:
    """Return the time that passes between two batches, longer in one case of a hundred; None where too few came."""
    times = sorted(arrivals)
    gaps = sorted(later - earlier for earlier, later in pairwise(times))
    return gaps[int(len(gaps) * 0.99) - 1] if len(gaps) >= _ENOUGH else None


def silence(
    now: datetime,
    canaries: Sequence[Canary],
    arrivals: Sequence[datetime],
    *,
    canary_limit: timedelta,
    limit: timedelta,
) -> Silence | None:
    """Return the silence of a stream, or None where it is not silent, or never spoke.

    A canary proves it where one is sent. Otherwise, and where canaries cannot be sent, no batch came for longer than
    `limit` and than three times the cluster's usual gap. `arrivals` are those of its newest batches.
    """
    since = unanswered(canaries)
    if since is not None and now - since > canary_limit:
        return Silence(since, Sign.CANARY)
    usual = usual_gap(arrivals)
    if usual is None:
        return None
    last = max(arrivals)
    return Silence(last, Sign.SILENCE) if now - last > max(limit, usual * _USUAL_GAPS) else None


def finding(cluster: str, found: Silence) -> Finding:
    """Return the finding for a silence: one for each."""
    lost = "No audit events arrive from" if found.sign == Sign.SILENCE else "Audit events get lost on the way from"
    return Finding(
        detection=NAME,
        cause=json.dumps([found.since.isoformat()]),
        title=f"{lost} {cluster}",
        event=None,
    )
