"""Read audit logs from files."""

import json
import logging
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TaskID

from alerts.audit.log import Log, TooLarge, bodies
from alerts.audit.visible import visible
from alerts.models import Alert, Batch, Cluster
from alerts.services import inbox, intake, investigation

logger = logging.getLogger(__name__)

_EXIT = 2
_CHUNK = 256 * 1024


@dataclass
class Summary:
    """What came of everything that was read."""

    events: int = 0
    kept: int = 0
    damaged: int = 0
    duplicates: int = 0
    failed: int = 0
    opened: list[Alert] = field(default_factory=list)


class Command(BaseCommand):
    """Stores what the files hold in batches, examines them here and now, and says what came of it."""

    help = (
        "Read audit logs: JSON lines, EventLists, single events, exports of Amazon EKS (CloudWatch Logs), Google GKE "
        "(Cloud Logging) and Azure AKS (diagnostic records); each also compressed with gzip."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("files", nargs="+", metavar="FILE", help="a file, or - for standard input")
        parser.add_argument("--cluster", required=True, metavar="NAME", help="the cluster they are from")
        parser.add_argument("--json", action="store_true", help="print the summary as JSON")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Ingest the files.

        Raises CommandError with exit code 2 for a cluster that does not exist or a file that cannot be read.
        """
        cluster = Cluster.objects.filter(name=options["cluster"]).first()
        if cluster is None:
            raise CommandError(
                f"There is no cluster {visible(options['cluster'])}. Add it: manage.py add_cluster NAME",
                returncode=_EXIT,
            )
        for name in options["files"]:
            _check_readable(name)
        summary = Summary()
        with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
            for name in options["files"]:
                self._ingest(cluster, name, summary, progress)
            for alert in progress.track(summary.opened, description="Investigating"):
                _investigate(alert)
        self.stdout.write(_as_json(summary) if options["json"] else _as_text(summary))

    def _ingest(self, cluster: Cluster, name: str, summary: Summary, progress: Progress) -> None:
        try:
            with _opened(name) as stream:
                reading = progress.add_task(escape(visible(name)), total=_size(name))
                log = Log(_chunks(stream, progress, reading))
                for body in bodies(log):
                    _take(cluster, body, summary)
        except OSError as error:
            raise CommandError(
                f"{visible(name)} cannot be read: {error.strerror or error}.", returncode=_EXIT
            ) from None
        except TooLarge as error:
            raise CommandError(f"{visible(name)}: {error}", returncode=_EXIT) from None
        except inbox.InboxFull:
            raise CommandError("Too many batches wait. Let the workers catch up, then run this again.") from None
        if log.broken:
            self.stderr.write(f"{visible(name)}: its compression is damaged. Everything before that place was read.")


def _check_readable(name: str) -> None:
    try:
        with _opened(name) as stream:
            if name != "-":
                stream.read(1)
    except OSError as error:
        raise CommandError(f"{visible(name)} cannot be read: {error.strerror}.", returncode=_EXIT) from None


def _opened(name: str) -> AbstractContextManager[IO[bytes]]:
    return nullcontext(sys.stdin.buffer) if name == "-" else Path(name).open("rb")


def _size(name: str) -> int | None:
    return None if name == "-" else Path(name).stat().st_size


def _chunks(stream: IO[bytes], progress: Progress, reading: TaskID) -> Iterator[bytes]:
    while chunk := stream.read(_CHUNK):
        yield chunk
        progress.advance(reading, len(chunk))


def _take(cluster: Cluster, body: bytes, summary: Summary) -> None:
    batch, ours = inbox.store_leased(cluster, body)
    outcome = intake.examine(batch) if ours else None
    batch = Batch.objects.defer("body", "mentions").get(pk=batch.pk)
    summary.events += batch.event_count
    summary.damaged += batch.damaged_count
    if outcome is None:
        summary.duplicates += batch.event_count
        return
    summary.kept += outcome.kept
    summary.failed += bool(outcome.error)
    summary.opened += outcome.opened


def _investigate(alert: Alert) -> None:
    try:
        investigation.gather(alert)
    except Exception:
        # The alert stands, and the workers try again.
        logger.exception("The evidence of %s could not be gathered.", alert.reference)
    alert.refresh_from_db()


def _as_json(summary: Summary) -> str:
    counts = {key: getattr(summary, key) for key in ("events", "kept", "damaged", "duplicates", "failed")}
    return json.dumps(counts | {"alerts": [_described(alert) for alert in summary.opened]}, indent=2)


def _described(alert: Alert) -> dict[str, Any]:
    return {
        "reference": alert.reference,
        "detection": alert.detection,
        "title": alert.title,
        "attempted": alert.attempted,
        "object": str(alert.object) if alert.object else None,
        "actor": alert.actor,
        "severity": alert.severity,
        "score": alert.score,
        "happened_at": alert.happened_at.isoformat(),
        "url": f"{settings.PUBLIC_URL}{alert.get_absolute_url()}",
    }


def _as_text(summary: Summary) -> str:
    counts = f"{summary.events:,} events, {summary.kept:,} of them kept for good, {summary.damaged:,} damaged items."
    lines = [counts]
    if summary.duplicates:
        lines.append(f"{summary.duplicates:,} of the events were here before.")
    if summary.failed:
        lines.append(f"{summary.failed:,} batches could not be examined; they will be tried again (see the log).")
    lines.append(f"{len(summary.opened):,} alerts:" if summary.opened else "No new alerts.")
    for alert in sorted(summary.opened, key=lambda alert: -alert.score):
        what = (
            f"  {alert.get_severity_display():<8} {alert.reference}  {visible(alert.title)}, by {visible(alert.actor)}"
        )
        lines += [what, f"           {settings.PUBLIC_URL}{alert.get_absolute_url()}"]
    return "\n".join(lines)
