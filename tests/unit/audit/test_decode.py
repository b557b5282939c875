import json
import sys
import time
from itertools import batched
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.audit import decode as decoding
from alerts.audit.decode import Decoded, decode
from alerts.audit.salvage import CUT, DEEPEST
from tests.conftest import DATA, RECORDINGS
from tests.unit.audit.events import as_bytes, creation, event_list, reading

HOSTILE = DATA / "audit" / "hostile"
# Each file holds a harmless event, the hostile one, and another harmless one; what is wrong with the second.
PROBLEMS = {
    "bidirectional-name.jsonl": "",
    "half-an-event.jsonl": CUT,
    "huge-number.jsonl": "",
    "invalid-utf-8.jsonl": decoding.NOT_UTF8,
    "lone-surrogate.jsonl": decoding.HALF_A_PAIR,
    "long-audit-id.jsonl": "",
    "malformed-patch.jsonl": CUT,
    "markup-in-a-name.jsonl": "",
    "nested-5000-deep.jsonl": decoding.TOO_DEEP,
    "no-user.jsonl": "It is not an audit event: Object missing required field `user`.",
    "nul-in-a-name.jsonl": "",
}


def count(decoded: Decoded) -> int:
    return decoded.sound + len(decoded.damaged)


@pytest.mark.parametrize(("name", "problem"), PROBLEMS.items())
@pytest.mark.parametrize("posted", [False, True], ids=["log", "webhook"])
def test_a_hostile_event_spoils_nothing_around_it(name: str, problem: str, *, posted: bool) -> None:
    lines = (HOSTILE / name).read_bytes().splitlines()
    decoded = decode(event_list(*lines) if posted else b"\n".join(lines))
    assert [event.verb for event in decoded.events][::2] == ["get", "get"]
    assert count(decoded) == 3
    assert [(item.position, item.reason, item.raw) for item in decoded.damaged] == (
        [(1, problem, lines[1])] if problem else []
    )


@pytest.mark.parametrize("name", [name for name, problem in PROBLEMS.items() if problem])
def test_what_can_be_read_of_a_damaged_event_is_recovered(name: str) -> None:
    (damaged,) = decode((HOSTILE / name).read_bytes()).damaged
    event = damaged.event
    assert event is not None
    assert event.incomplete
    assert event.resource == "clusterroles"
    assert event.user_agent == "kubectl/v1.32.4"
    assert event.actor == ("" if name == "no-user.jsonl" else "mallory@example.com")


def test_every_hostile_file_is_tested() -> None:
    assert {path.name for path in HOSTILE.iterdir()} == {*PROBLEMS, "half-a-body.json"}


def test_half_a_body_gives_everything_before_the_cut() -> None:
    decoded = decode((HOSTILE / "half-a-body.json").read_bytes())
    assert [event.name for event in decoded.events] == ["web-1", "whole-role", "cut-role"]
    assert [(item.position, item.reason) for item in decoded.damaged] == [(2, CUT)]


def test_brackets_that_do_not_match_end_at_the_next_event() -> None:
    broken = as_bytes(creation("broken")).replace(b'"metadata":{"name"', b'"metadata":{{"name"')
    decoded = decode(event_list(reading("before"), broken, creation("after")))
    assert [event.name for event in decoded.events] == ["web-1", "broken", "after"]
    assert [item.position for item in decoded.damaged] == [1]


def test_an_event_inside_an_object_is_no_event_of_its_own() -> None:
    smuggled = creation("smuggled")
    outer = creation("outer", requestObject={"kind": "List", "items": [{"a": 1}, smuggled]})
    assert [event.name for event in decode(event_list(outer)).events] == ["outer"]


def test_half_a_pair_in_the_metadata_itself_is_replaced() -> None:
    raw = as_bytes(creation()).replace(b"kubectl/v1.32.4", rb"kube\ud800ctl \ud83d\ude00 \\ud800")
    (event,) = decode(raw).events
    assert event.user_agent == "kube\ufffdctl \U0001f600 \\ud800"


def test_a_field_of_the_wrong_type_is_unknown_and_the_rest_stands() -> None:
    decoded = decode(as_bytes(creation(user="mallory", responseStatus={"code": "201"})))
    (event,) = decoded.events
    assert (event.actor, event.code, event.name) == ("", None, "reader")
    assert len(decoded.damaged) == 1


def test_what_never_was_an_audit_event_is_damaged_and_nothing_more() -> None:
    decoded = decode(b'{"hello":"world"}\n' + as_bytes(reading()))
    assert len(decoded.events) == 1
    assert [(item.raw, item.event) for item in decoded.damaged] == [(b'{"hello":"world"}', None)]


def test_a_deep_body_is_fine_up_to_the_limit() -> None:
    def nested(levels: int) -> bytes:
        return as_bytes(creation(requestObject="@@")).replace(b'"@@"', b"[" * levels + b"]" * levels)

    assert not decode(nested(DEEPEST)).damaged
    assert [item.reason for item in decode(nested(DEEPEST + 1)).damaged] == [decoding.TOO_DEEP]


def test_no_depth_makes_it_slow() -> None:
    """A patch of 3 MiB is recorded before it is looked at, and whoever may patch one object may send a hundred."""
    deep = b"[" * 9000 + b"]" * 9000
    raw = as_bytes(creation(requestObject="@@")).replace(b'"@@"', b"[" + b",".join([deep] * 160) + b"]")
    began = time.process_time()
    assert [item.reason for item in decode(event_list(raw)).damaged] == [decoding.TOO_DEEP]
    assert time.process_time() - began < 2


@pytest.mark.parametrize("recording", sorted(RECORDINGS.glob("*.jsonl")), ids=lambda path: path.stem)
def test_every_recorded_event_is_sound(recording: Path) -> None:
    body = recording.read_bytes()
    decoded = decode(body)
    assert len(decoded.events) == len(body.splitlines())
    assert not decoded.damaged


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=20,
)
bodies = json_values.map(lambda value: json.dumps(value).encode())
poison = st.one_of(
    bodies,
    st.sampled_from([b'"\\ud800"', b"1e999", b'"\xff\xfe"', b"[" * 5000 + b"]" * 5000, b"9" * 6000]),
    st.just(rb'"},{\"level\":\"Metadata\""'),
)


@given(st.lists(poison, max_size=6), st.booleans())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_items_in_are_events_and_damaged_whatever_the_bodies_hold(contents: list[bytes], logged: bool) -> None:
    events = [as_bytes(creation(f"r{n}", requestObject="@@")) for n in range(len(contents))]
    events = [event.replace(b'"@@"', content) for event, content in zip(events, contents, strict=True)]
    decoded = decode(b"\n".join(events) if logged else event_list(*events))
    assert count(decoded) == len(contents)
    assert [event.name for event in decoded.events] == [f"r{n}" for n in range(len(contents))]


# Documents, and how many events and damaged items are in each.
DOCUMENTS = {
    event_list(creation("one"), reading()).strip(): 2,
    event_list(creation("one"), b'{"verb":tru}', reading()).strip(): 3,
    b"[" + as_bytes(creation("one")) + b"]": 1,
    b"[]": 0,
    as_bytes(creation("one")): 1,
    b'{"a":1}': 1,
}


@given(st.lists(st.sampled_from(list(DOCUMENTS)), min_size=1, max_size=6), st.sampled_from([b"", b" ", b"\n", b"\r\n"]))
@settings(deadline=None, max_examples=200)
def test_of_documents_one_after_the_other_none_is_lost(documents: list[bytes], between: bytes) -> None:
    assert count(decode(between.join(documents))) == sum(DOCUMENTS[document] for document in documents)


def test_what_follows_a_list_whose_brackets_do_not_match_is_not_lost() -> None:
    broken = event_list(creation("one"), reading()).strip().removesuffix(b"}") + b"]}"
    decoded = decode(broken + event_list(creation("two")).strip() + b"\x01")
    assert [event.name for event in decoded.events if event.verb == "create"] == ["one", "two"]
    assert decoded.damaged[-1].raw.endswith(b"\x01")


@given(st.binary(max_size=400))
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
def test_no_bytes_are_refused(body: bytes) -> None:
    decoded = decode(body)
    assert not decoded.events
    assert (count(decoded) > 0) == (body.removeprefix(b"\xef\xbb\xbf").strip() not in {b"", b"[]"})


@given(st.integers(min_value=0, max_value=4000))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_a_body_cut_anywhere_gives_every_whole_event_before_the_cut(length: int) -> None:
    events = [as_bytes(reading(str(number))) for number in range(5)]
    body = event_list(*events)
    decoded = decode(body[:length])
    ends = [body.index(event) + len(event) for event in events]
    assert decoded.sound == sum(end <= length for end in ends)
    assert bool(decoded.damaged) == (0 < length < len(body.strip()) - 1)


@given(st.data())
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_bytes_flipped_anywhere_never_raise(data: st.DataObject) -> None:
    body = bytearray(event_list(reading("a"), creation("b"), reading("c")))
    for _ in range(data.draw(st.integers(1, 8))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    decoded = decode(bytes(body))
    for event in decoded.events:
        _ = (event.request, event.response, event.dry_run, event.allowed_by, event.name, event.sha256)
    assert count(decoded) > 0


@pytest.mark.parametrize(
    "path", sorted([*DATA.rglob("*.jsonl"), *RECORDINGS.glob("*.jsonl")]), ids=lambda path: path.stem
)
def test_a_list_read_at_once_gives_what_its_items_give_one_by_one(path: Path) -> None:
    for lines in batched(path.read_bytes().splitlines(), 50):
        items = b",".join(lines)
        at_once = decode(b'{"kind":"EventList","items":[' + items + b"]}")
        one_by_one = decode(b'{ "kind":"EventList","items":[' + items + b"]}")
        assert at_once == one_by_one


def test_an_event_in_a_list_cannot_pass_itself_off_as_salvaged_or_bring_its_own_bytes() -> None:
    (event,) = decode(event_list(creation(raw="bm90aGluZw==", salvaged=True))).events
    assert not event.salvaged
    assert b'"salvaged":true' in event.raw


def test_an_event_that_is_kept_does_not_keep_the_whole_body_in_memory() -> None:
    body = event_list(creation(), reading())
    unused = sys.getrefcount(body)
    kept = decode(body).events[0]
    assert kept.response["kind"] == "ClusterRole"
    assert sys.getrefcount(body) == unused
