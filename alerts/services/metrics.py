"""How intake is doing, from the database, and in the text format that Prometheus reads.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/, version 0.0.4.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from django.db.models import Count, F, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from alerts.models import Alert, Batch, Cluster
from alerts.services import inbox

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_UNFINISHED = tuple(state for state in Batch.State if state != Batch.State.DONE)

type Sample = tuple[dict[str, str], float]


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured quantity: a counter only grows, a gauge goes up and down."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]

    def __str__(self) -> str:
        lines = [f"# HELP {self.name} {self.help}", f"# TYPE {self.name} {self.kind}"]
        return "".join(f"{line}\n" for line in (*lines, *map(self._line, self.samples)))

    def _line(self, sample: Sample) -> str:
        labels, value = sample
        text = ",".join(f'{name}="{_escaped(each)}"' for name, each in labels.items())
        return f"{self.name}{{{text}}} {value:.15g}" if text else f"{self.name} {value:.15g}"


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def text() -> str:
    """Return everything that is measured, as Prometheus reads it."""
    return "".join(map(str, measured()))


def measured() -> Iterator[Metric]:
    """Yield everything that is measured now."""
    clusters = list(Cluster.objects.all())
    yield from _counters(clusters)
    yield Metric(
        "rolecall_batches",
        "gauge",
        "Batches that are not done, by state.",
        tuple(({"state": state.value}, _count(state)) for state in _UNFINISHED),
    )
    yield Metric(
        "rolecall_oldest_waiting_seconds",
        "gauge",
        "How long the oldest batch has waited to be examined; 0 where none waits.",
        (({}, inbox.oldest_waiting().total_seconds()),),
    )
    yield Metric(
        "rolecall_event_lag_seconds",
        "gauge",
        "How old a cluster's newest examined event is.",
        tuple(
            ({"cluster": each.name}, (timezone.now() - each.last_event_at).total_seconds())
            for each in clusters
            if each.last_event_at
        ),
    )
    yield Metric("rolecall_alerts", "gauge", "Alerts, by cluster, severity and status.", tuple(_alerts()))


def _counters(clusters: Iterable[Cluster]) -> Iterator[Metric]:
    yield Metric("rolecall_batches_received_total", "counter", "Batches that were stored.", tuple(_received()))
    for field, name, description in (
        ("events_examined", "rolecall_events_examined_total", "Audit events that were examined."),
        ("events_salvaged", "rolecall_events_salvaged_total", "Of these, events recovered from damaged items."),
        ("items_damaged", "rolecall_items_damaged_total", "Items that were no sound audit event."),
    ):
        samples = tuple(({"cluster": each.name}, getattr(each, field)) for each in clusters)
        yield Metric(name, "counter", description, samples)


def _received() -> Iterator[Sample]:
    # In one statement: between two a batch could be done, and a counter that falls is taken for one that began anew.
    unfinished = Batch.objects.filter(cluster=OuterRef("pk"), state__in=_UNFINISHED).order_by().values("cluster")
    count = Coalesce(Subquery(unfinished.annotate(count=Count("pk")).values("count")), 0)
    received = Cluster.objects.annotate(received=F("batches_finished") + count).values_list("name", "received")
    for name, number in received:
        yield {"cluster": name}, number


def _count(state: Batch.State) -> int:
    return Batch.objects.filter(state=state).count()


def _alerts() -> Iterator[Sample]:
    found = Alert.objects.order_by().values_list("cluster__name", "severity", "status").annotate(Count("pk"))
    for cluster, severity, status, count in found:
        labels = {"cluster": cluster, "severity": Alert.Severity(severity).label.lower(), "status": status}
        yield labels, count
