import json
from collections.abc import Callable, Iterator
from itertools import repeat

import pytest

from alerts.audit.decode import decode
from alerts.audit.lines import is_log
from alerts.audit.log import Log, bodies
from tests.unit.audit.events import as_bytes, creation, reading

CUT = b"[Truncated...]"
PUT_BEFORE: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda line: line,
    "a time": lambda line: b"2026-11-23T18:00:01.004Z " + line,
    "a wrapping": lambda line: json.dumps({"stream": "stdout", "log": line.decode()}).encode(),
    "a wrapping that is cut too": lambda line: json.dumps({"log": line.decode()}).encode().removesuffix(b'"}'),
}
INDENTED = json.dumps([reading("a"), creation(auditID="b"), reading("c")], indent=1).encode()
ONE_A_LINE = b'{"kind":"EventList","items":[\n' + b",\n".join(map(as_bytes, map(reading, "abc"))) + b"\n]}"


def numbered(count: int, *, length: int) -> list[bytes]:
    return [as_bytes(reading(str(number)) | {"pad": "x" * 500})[:length] + CUT for number in range(count)]


@pytest.mark.parametrize("before", PUT_BEFORE.values(), ids=PUT_BEFORE.keys())
@pytest.mark.parametrize("count", [1, 4, 5, 6, 100])
def test_cut_lines_at_its_head_hide_nothing_of_a_log(before: Callable[[bytes], bytes], count: int) -> None:
    body = b"\n".join(map(before, [*numbered(count, length=450), as_bytes(creation(auditID="last"))]))
    for decoded in (decode(body), *(decode(each) for each in bodies(Log([body])))):
        assert [event.audit_id for event in decoded.events] == [*map(str, range(count)), "last"]
        assert len(decoded.damaged) >= count


@pytest.mark.parametrize("length", range(28, 450, 7))
def test_a_log_of_nothing_but_cut_lines_is_a_log_wherever_they_are_cut(length: int) -> None:
    body = b"\n".join(as_bytes(creation(str(number)))[:length] for number in range(3))
    assert len(decode(body).damaged) == 3


@pytest.mark.parametrize("stop", range(1, len(INDENTED), 13))
def test_an_indented_document_is_none_wherever_it_is_cut(stop: int) -> None:
    assert not is_log(INDENTED[:stop].split(b"\n"))


@pytest.mark.parametrize("separator", [b",\n", b"\n,"])
@pytest.mark.parametrize("poison", [b"{{{", as_bytes(creation(auditID="z"))[:300]])
def test_a_list_of_an_event_a_line_is_none_though_one_is_damaged(separator: bytes, poison: bytes) -> None:
    a, b, c = map(as_bytes, map(reading, "abc"))
    body = b'{"kind":"EventList","items":[\n' + separator.join((a, poison, b, c)) + b"\n]}"
    assert not is_log(body.split(b"\n"))
    assert [event.audit_id for event in decode(body).events if not event.salvaged] == ["a", "b", "c"]


def test_a_list_of_an_event_a_line_is_none_where_it_is_cut() -> None:
    assert not is_log(ONE_A_LINE[:-100].split(b"\n"))


def test_documents_over_several_lines_are_read_among_those_of_one() -> None:
    indented = json.dumps(creation(auditID="indented"), indent=2).encode()
    body = b"\n".join([as_bytes(reading("a")), indented, *numbered(1, length=300), indented, as_bytes(reading("b"))])
    decoded = decode(body)
    assert [event.audit_id for event in decoded.events] == ["a", "indented", "0", "indented", "b"]
    assert len(decoded.damaged) == 1


def test_no_more_lines_are_asked_for_than_it_takes_to_tell() -> None:
    asked = []

    def lines() -> Iterator[bytes]:
        for line in repeat(as_bytes(reading("a"))):
            asked.append(line)
            yield line

    assert is_log(lines())
    assert len(asked) == 2
