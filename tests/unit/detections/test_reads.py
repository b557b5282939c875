"""The worker passes over what only reads: that must never be something that a detection wants."""

from alerts import detections
from alerts.audit.decode import decode
from tests.conftest import DATA, RECORDINGS
from tests.unit.audit.events import creation, decoded, reading


def test_nothing_recorded_that_only_reads_is_a_finding() -> None:
    paths = [*DATA.rglob("*.jsonl"), *RECORDINGS.glob("*.jsonl")]
    events = [event for path in paths for event in decode(path.read_bytes()).events]
    reads = [event for event in events if event.only_reads]
    assert len(reads) > len(events) / 2
    assert [finding for event in reads for finding in detections.examine(event)] == []


def test_a_read_under_another_name_or_of_a_damaged_event_is_looked_at() -> None:
    assert decoded(reading()).only_reads
    assert not decoded(reading() | {"impersonatedUser": {"username": "system:admin"}}).only_reads
    assert not decoded(creation()).only_reads
    (damaged,) = decode(b'{"level":"Metadata","auditID":"a","verb":"get","objectRef":{"resource":"clu').events
    assert not damaged.only_reads
