from datetime import UTC, datetime, timedelta

from alerts.detections.audit_stream_silent import Canary, Sign, Silence, finding, silence, unanswered, usual_gap

NOW = datetime(2026, 11, 23, 18, tzinfo=UTC)


def ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def canary(minutes: float, *, seen: bool) -> Canary:
    return Canary(ago(minutes=minutes), ago(minutes=minutes - 0.1) if seen else None)


def every(gap: timedelta, until: datetime, count: int = 50) -> list[datetime]:
    return [until - gap * number for number in range(count)]


def judged(canaries: list[Canary], arrivals: list[datetime]) -> Silence | None:
    return silence(NOW, canaries, arrivals, canary_limit=timedelta(minutes=5), limit=timedelta(minutes=15))


def test_a_cluster_that_never_sent_anything_is_not_silent() -> None:
    assert judged([], []) is None


def test_a_canary_still_on_its_way_is_no_silence() -> None:
    assert judged([canary(9, seen=True), canary(4, seen=False), canary(3, seen=False)], []) is None


def test_a_canary_that_never_came_is_silence_since_it_was_sent() -> None:
    found = judged([canary(9, seen=True), canary(8, seen=False), canary(7, seen=False), canary(1, seen=False)], [])
    assert found == Silence(ago(minutes=8), Sign.CANARY)
    assert finding("prod-eu", found).title == "Audit events get lost on the way from prod-eu"


def test_one_lost_between_two_that_came_is_no_silence() -> None:
    assert judged([canary(9, seen=True), canary(8, seen=False), canary(7, seen=True)], []) is None


def test_canaries_that_no_policy_records_prove_nothing() -> None:
    assert unanswered([canary(90, seen=False), canary(80, seen=False)]) is None


def test_a_silence_longer_than_the_limit_and_the_usual_gap_counts() -> None:
    last = ago(minutes=20)
    assert judged([], every(timedelta(seconds=30), last)) == Silence(last, Sign.SILENCE)
    assert judged([], every(timedelta(seconds=30), ago(minutes=10))) is None
    assert judged([], every(timedelta(hours=1), last)) is None
    assert judged([], every(timedelta(hours=1), ago(hours=4))) == Silence(ago(hours=4), Sign.SILENCE)


def test_one_outage_does_not_make_the_next_one_usual() -> None:
    times = every(timedelta(seconds=30), ago(minutes=20), 150) + every(timedelta(seconds=30), ago(days=2), 150)
    assert usual_gap(times) == timedelta(seconds=30)


def test_a_few_batches_make_no_rate() -> None:
    assert judged([], every(timedelta(seconds=30), ago(days=9), 20)) is None


def test_each_silence_is_a_finding_of_its_own() -> None:
    first, again = (finding("prod-eu", Silence(ago(hours=hours), Sign.SILENCE)) for hours in (2, 1))
    assert first.fingerprint != again.fingerprint
    assert first.title == "No audit events arrive from prod-eu"
