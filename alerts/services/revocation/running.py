"""Running a plan: once, whoever calls how often, and on from where it stopped if its worker died."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from alerts.audit.visible import storable
from alerts.cluster.api import ClusterAPI
from alerts.cluster.errors import ClusterError, Throttled
from alerts.models import Revocation
from alerts.services import connection
from alerts.services.revocation import conclusion, targets
from alerts.services.revocation.attempt import AUDIT_ID
from alerts.services.revocation.execution import ENDED, Result, execute
from alerts.services.revocation.proof import prove
from alerts.services.revocation.targets import Target

LEASE = timedelta(seconds=60)  # longer than all calls for one object, and than the proof of one
PAUSE = timedelta(seconds=5)
PATIENCE = timedelta(minutes=2)
State = Revocation.State


class LeaseLost(Exception):
    """Another worker took the run over, because this one was silent for too long."""


def due() -> list[int]:
    """Return the ids of the revokes that should run now: their grace is over, or their worker fell silent."""
    return list(_claimable(timezone.now()).values_list("pk", flat=True))


def run(revocation: Revocation) -> Revocation:
    """Run a scheduled plan to its end and prove it; does nothing where that is not due, or somebody else does it.

    Every result is stored before the next step. While the cluster cannot be reached the run pauses (it stays running,
    and becomes due again), for at most PATIENCE; then it ends with what was done.
    """
    claimed = _claim(revocation)
    if claimed is None:
        return Revocation.objects.get(pk=revocation.pk)
    try:
        with connection.connect(claimed.alert.cluster) as api:
            _execute(api, claimed)
            _hold(claimed, proof=prove(api, claimed))
    except LeaseLost:
        return Revocation.objects.get(pk=revocation.pk)
    except (connection.NotConnected, ClusterError) as problem:
        return _interrupted(claimed, problem)
    return conclusion.conclude(claimed)


def _claimable(now: datetime) -> "Any":
    waiting = Q(state=State.SCHEDULED, due_at__lte=now)
    abandoned = Q(state=State.RUNNING, leased_until__lte=now)
    return Revocation.objects.filter(waiting | abandoned)


def _claim(revocation: Revocation) -> Revocation | None:
    """Take the run over, if it is due and nobody has it."""
    now = timezone.now()
    lease = now + LEASE
    taken = (
        _claimable(now)
        .filter(pk=revocation.pk)
        .update(state=State.RUNNING, leased_until=lease, started_at=Coalesce(F("started_at"), now))
    )
    if not taken:
        return None
    return Revocation.objects.select_related("alert__cluster", "alert__object", "requested_by").get(pk=revocation.pk)


def _hold(claimed: Revocation, **changes: Any) -> None:
    """Store what happened and extend the lease, in one statement that only the lease's holder can make.

    Raises LeaseLost.
    """
    lease = timezone.now() + LEASE
    mine = Revocation.objects.filter(pk=claimed.pk, state=State.RUNNING, leased_until=claimed.leased_until)
    if not mine.update(leased_until=lease, **changes):
        raise LeaseLost
    claimed.leased_until = lease
    for field, value in changes.items():
        setattr(claimed, field, value)


def _execute(api: ClusterAPI, claimed: Revocation) -> None:
    results = msgspec.convert(claimed.results, list[Result])
    for number, target in enumerate(targets.of(claimed)):
        earlier = results[number] if number < len(results) else None
        if earlier is not None and earlier.settled:
            continue
        audit_id = f"{AUDIT_ID}{claimed.pk}-{number}"
        # Should this worker die after the next line, the one that takes over knows that the request may have gone out.
        results[number:] = [_result(target, "sent", "Sent; no answer yet.", audit_id)]
        _hold(claimed, results=msgspec.to_builtins(results))
        outcome, text = execute(api, target, audit_id=audit_id, sent_before=earlier is not None)
        results[number] = _result(target, outcome, text, audit_id)
        _hold(claimed, results=msgspec.to_builtins(results))


def _result(target: Target, outcome: str, text: str, audit_id: str) -> Result:
    return Result(
        key=target.key,
        outcome=outcome,
        text=storable(text),
        ended=outcome in ENDED,
        audit_id=audit_id,
        at=timezone.now().isoformat(),
    )


def _interrupted(claimed: Revocation, problem: Exception) -> Revocation:
    """Pause where waiting can help, or end with what was done."""
    now = timezone.now()
    transient = isinstance(problem, ClusterError) and problem.transient
    started = claimed.started_at or now
    if not transient or now - started > PATIENCE:
        claimed.error = storable(str(problem))
        return conclusion.conclude(claimed)
    pause = timedelta(seconds=problem.retry_after) if isinstance(problem, Throttled) else PAUSE
    mine = Revocation.objects.filter(pk=claimed.pk, state=State.RUNNING, leased_until=claimed.leased_until)
    mine.update(leased_until=now + pause, error=storable(f"{problem} Trying again."))
    return Revocation.objects.get(pk=claimed.pk)
