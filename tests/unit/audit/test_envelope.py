import base64
import gzip
import json
import time

import pytest

from alerts.audit import envelope, salvage
from alerts.audit.envelope import items
from tests.unit.audit.events import as_bytes, creation, event_list, reading

EVENTS = [reading("a"), creation("b"), reading("c")]
RAW = [as_bytes(event) for event in EVENTS]
ENVELOPES = {
    "list of a webhook": event_list(*EVENTS),
    "array": b"[" + b",".join(RAW) + b"]",
    "lines of a log": b"\n".join(RAW),
    "lines ended by CR LF, with empty ones": b"\r\n\r\n".join(RAW) + b"\r\n",
    "lists, one a line": event_list(*EVENTS[:2]) + event_list(EVENTS[2]),
    "one after the other": b"".join(RAW),
    "byte order mark": b"\xef\xbb\xbf" + b"\n".join(RAW),
}


@pytest.mark.parametrize("body", ENVELOPES.values(), ids=ENVELOPES.keys())
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_every_envelope_gives_its_events(body: bytes, *, compressed: bool) -> None:
    assert [item.raw for item in items(gzip.compress(body) if compressed else body)] == RAW


@pytest.mark.parametrize("document", [EVENTS, {"kind": "EventList", "items": EVENTS}], ids=["array", "list"])
def test_an_indented_envelope_gives_its_events(document: object) -> None:
    found = [json.loads(item.raw) for item in items(json.dumps(document, indent=2).encode())]
    assert found == EVENTS


def test_indented_events_one_after_the_other_are_told_apart() -> None:
    body = b"\n".join(json.dumps(event, indent=4).encode() for event in EVENTS)
    assert [json.loads(item.raw) for item in items(body)] == EVENTS


def test_one_event_is_one_item() -> None:
    assert [item.raw for item in items(RAW[1])] == RAW[1:2]


def test_gzip_of_several_members_is_read_to_its_end() -> None:
    body = gzip.compress(RAW[0] + b"\n") + gzip.compress(RAW[1] + b"\n" + RAW[2])
    assert [item.raw for item in items(body)] == RAW


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"", mtime=0) * 100_000,
        b'[{"level":"None"],{"level":"None"}]' * 100_000,
        b'[{"x":[,{"level":"None"}]' * 10_000,
    ],
    ids=["members", "lists", "cut lists"],
)
def test_no_number_of_parts_makes_it_slow(body: bytes) -> None:
    began = time.process_time()
    list(items(body))
    assert time.process_time() - began < 2


def test_so_many_cut_lists_are_taken_apart_and_the_rest_is_kept() -> None:
    cut = b'[{"level":"None"],' + RAW[0] + b"]"
    found = list(items(cut * 100))
    assert [item.raw for item in found[: 2 * salvage.GUESSES]] == [b'{"level":"None"]', RAW[0]] * salvage.GUESSES
    assert sum(len(item.raw) for item in found) > len(cut) * 90
    assert found[-1].problem == salvage.CUT


@pytest.mark.parametrize(
    "body", [b"", b" \n ", event_list(), b"[]", b'{"kind":"EventList","items":null}'], ids=["0", "blank", "l", "a", "n"]
)
def test_an_empty_envelope_has_no_items(body: bytes) -> None:
    assert list(items(body)) == []


def test_cut_gzip_gives_what_can_be_read_and_says_that_more_was_there() -> None:
    body = gzip.compress(b"\n".join(as_bytes(reading(str(number))) for number in range(2000)))[:-200]
    *found, last = items(body)
    assert len(found) > 1000
    assert last == envelope.Item(body, envelope.BROKEN_COMPRESSION)


def test_gzip_that_inflates_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "INFLATED_LIMIT", 10_000)
    found = list(items(gzip.compress(b"\n".join(RAW * 100))))
    assert sum(len(item.raw) for item in found if not item.problem) < 10_000
    assert found[-1].problem == envelope.INFLATES_TOO_FAR


def test_what_is_not_json_is_one_item() -> None:
    assert list(items(b"hello, world")) == [envelope.Item(b"hello, world", envelope.NOT_JSON)]


def encoded(event: bytes, *, padding: int, wrapped: bool = False) -> bytes:
    """Return base64 of gzip of an event, with that much padding, in lines of 76 characters where it is wrapped."""
    compressed = gzip.compress(event)
    # With a name in its header (RFC 1952) it becomes as long as that takes.
    name = b"n" * (-(len(compressed) + 1 + padding) % 3) + b"\0"
    content = compressed[:3] + b"\x08" + compressed[4:10] + name + compressed[10:]
    return base64.encodebytes(content) if wrapped else base64.b64encode(content)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("padding", range(3))
@pytest.mark.parametrize("separator", [b"\n", b"\r\n\r\n", b""])
def test_texts_of_base64_after_each_other_are_all_read(separator: bytes, padding: int, *, wrapped: bool) -> None:
    body = separator.join(encoded(event, padding=padding, wrapped=wrapped) for event in RAW)
    assert [item.raw.rstrip() for item in items(body)] == RAW


def test_a_text_of_base64_that_is_cut_leaves_the_others_alone() -> None:
    first, second, third = (encoded(event, padding=1) for event in RAW)
    found = list(items(b"\n".join([first, second[:401], third])))
    assert [item.raw.rstrip() for item in (found[0], found[-1])] == [RAW[0], RAW[2]]
    assert envelope.BROKEN_COMPRESSION in {item.problem for item in found[1:-1]}


@pytest.mark.parametrize("padding", [1, 2])
def test_what_follows_a_text_of_base64_and_is_none_is_read_as_it_stands(padding: int) -> None:
    body = encoded(RAW[0], padding=padding) + b"\n" + RAW[1] + b"\nH4sI, he said"
    assert [item.raw.rstrip() for item in items(body)] == [RAW[0], RAW[1], b"H4sI, he said"]


@pytest.mark.parametrize("body", [b"H4sI", b"H4sI, he said", b"H4sIA", b"H4sIAAAA==H4sI, he said", b"H4sI==" * 3])
def test_what_only_begins_like_base64_of_gzip_is_damaged_and_kept(body: bytes) -> None:
    assert all(item.problem for item in items(body))
    assert list(items(body))
