"""What somebody tries and is refused, of which anybody may try any number: some of a day have alerts of their own."""

from datetime import UTC, datetime, timedelta

from alerts.audit.visible import storable
from alerts.detections import Finding, escalation_refused, many_attempts
from alerts.models import Alert, Cluster

OF_THEIR_OWN = 20


class Attempts:
    """The attempts on a cluster, while some of its events are examined."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[tuple[str, datetime], set[str]] = {}

    def gathered(self, finding: Finding) -> Finding:
        """Return the finding, or of a refused attempt beyond OF_THEIR_OWN the one on all that its actor tried that day.

        Which of them have alerts of their own is up to which are examined first.
        """
        event = finding.event
        if event is None or event.at is None or event.code != 403 or not finding.attempted:
            return finding
        if finding.detection == escalation_refused.NAME:
            # It takes the right to write roles, which not just anybody has.
            return finding
        known = self._of(storable(finding.actor), event.at.astimezone(UTC))
        if finding.fingerprint not in known and len(known) >= OF_THEIR_OWN:
            return many_attempts.finding(event, OF_THEIR_OWN)
        known.add(finding.fingerprint)
        return finding

    def _of(self, actor: str, at: datetime) -> set[str]:
        """Return the fingerprints of what somebody tried on a day."""
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        if (actor, day) not in self._known:
            tried = Alert.objects.filter(cluster=self._cluster, attempted=True, actor=actor)
            that_day = tried.filter(happened_at__gte=day, happened_at__lt=day + timedelta(days=1))
            own = that_day.exclude(detection__in=[many_attempts.NAME, escalation_refused.NAME]).order_by()
            self._known[actor, day] = set(own.values_list("fingerprint", flat=True))
        return self._known[actor, day]
