"""Reading a batch remembers of what it passes over all that is asked for later."""

from datetime import UTC, datetime
from typing import Any

from alerts.audit.decode import decode
from alerts.services import mentions, stream
from alerts.services.reading import read
from alerts.services.tripwire import Awaited
from tests.conftest import RECORDINGS
from tests.unit.audit.events import creation, event_list, reading


def at(minute: int, **changes: Any) -> dict[str, Any]:
    return reading() | {"requestReceivedTimestamp": f"2026-11-23T18:{minute:02}:00.000000Z"} | changes


def test_the_first_and_the_last_count_whether_they_are_passed_over_or_decoded() -> None:
    early, late = datetime(2026, 11, 23, 18, 0, 1, tzinfo=UTC), datetime(2026, 11, 23, 18, 9, tzinfo=UTC)
    found = read(event_list(at(5), at(9), creation()))
    assert (found.earliest, found.latest) == (early, late)
    assert (found.passed_over, found.sound, found.examined) == (2, 3, 3)
    only = read(event_list({key: each for key, each in at(9).items() if key != "requestReceivedTimestamp"}))
    assert (only.passed_over, only.sound) == (0, 1)
    assert only.earliest == only.latest == datetime(2026, 11, 23, 18, 0, 1, 4000, tzinfo=UTC)
    assert read(event_list()).earliest is None


def test_canaries_are_heard_whatever_their_events_are() -> None:
    one, two = (stream.AUDIT_ID + digit * 32 for digit in "12")
    found = read(event_list(at(1, auditID=one), at(2), creation(auditID=two)))
    assert found.passed_over == 1
    assert set(found.canaries) == {one, two}


def test_every_recorded_batch_is_indexed_as_if_all_of_it_had_been_decoded() -> None:
    passed_over = 0
    for path in RECORDINGS.glob("*.jsonl"):
        body = event_list(*path.read_bytes().splitlines())
        found, events = read(body), decode(body).events
        assert found.mentioned == mentions.of(events)
        times = [event.at for event in events if event.at]
        assert (found.earliest, found.latest) == (min(times), max(times))
        assert found.sound == len(events)
        passed_over += found.passed_over
    assert passed_over


def test_what_is_awaited_is_decoded_and_otherwise_passed_over() -> None:
    made = event_list(at(1, verb="create", responseStatus={"code": 201}))
    assert read(made).passed_over == 1
    assert read(made, Awaited(places=frozenset({("/pods", "web", "web-1")}))).passed_over == 0


def test_two_clients_that_are_alike_up_to_where_an_index_cuts_are_told_apart() -> None:
    mentioned = read(event_list(at(1, userAgent="x" * 600), at(2, userAgent="x" * 601))).mentioned
    assert mentioned.count("\nclient ") == 2
