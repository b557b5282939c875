import gzip
import json

import pytest

from alerts.audit.decode import decode
from alerts.audit.log import BODY_SIZE, Log, bodies
from tests.unit.audit.events import as_bytes, creation, event_list, reading

MANY = [reading(str(number)) for number in range(5000)]
RAW = b"\n".join(map(as_bytes, MANY))


def ids(log: Log) -> list[str]:
    return [event.audit_id for body in bodies(log) for event in decode(body).events]


def pieces(content: bytes, size: int = 10_000) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


@pytest.mark.parametrize(
    "content",
    [RAW, gzip.compress(RAW), event_list(*MANY), json.dumps(MANY).encode(), json.dumps(MANY, indent=1).encode()],
    ids=["lines", "gzip", "list", "array", "indented"],
)
def test_a_long_log_comes_in_bodies_of_a_bounded_size(content: bytes) -> None:
    found = list(bodies(Log(pieces(content))))
    assert len(found) > 2
    assert max(map(len, found)) <= BODY_SIZE + 10_000
    assert ids(Log(pieces(content))) == [event["auditID"] for event in MANY]


def test_the_same_log_gives_the_same_bodies_however_it_is_read() -> None:
    assert list(bodies(Log(pieces(RAW, 999)))) == list(bodies(Log([RAW])))


def test_a_damaged_line_is_a_body_s_damaged_item() -> None:
    log = Log([as_bytes(reading("a")) + b"\n{{{\n" + as_bytes(reading("b")) + b"\n" + as_bytes(creation())[:300]])
    (body,) = bodies(log)
    decoded = decode(body)
    assert decoded.sound == 2
    assert [item.position for item in decoded.damaged] == [1, 3]


def test_a_log_that_begins_in_the_middle_of_an_event_is_a_log() -> None:
    log = Log([as_bytes(creation())[-300:] + b"\n" + RAW])
    found = list(bodies(log))
    assert len(found) > 2
    assert sum(len(decode(body).damaged) for body in found) == 1


def test_cut_gzip_gives_everything_before_the_cut() -> None:
    content = gzip.compress(RAW)
    log = Log(pieces(content[: len(content) // 2], 1000))
    found = ids(log)
    assert log.broken
    assert len(found) > 1000
    assert found == [event["auditID"] for event in MANY[: len(found)]]


@pytest.mark.parametrize("padding", [b"", b"\0" * 512], ids=["plain", "padded"])
def test_gzip_of_several_members_is_whole(padding: bytes) -> None:
    log = Log(pieces(gzip.compress(RAW + b"\n") + gzip.compress(as_bytes(reading("last"))) + padding, 777))
    assert len(ids(log)) == len(MANY) + 1
    assert not log.broken


def test_an_empty_log_has_no_bodies() -> None:
    assert list(bodies(Log([]))) == []
