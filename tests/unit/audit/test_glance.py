"""Skimming loses nothing: what is not decoded is glanced at, and where anything is damaged all of it is decoded."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.audit.decode import decode
from alerts.audit.event import LOG_HEADER, Event
from alerts.audit.glance import Glance, Skimmed, skim
from tests.conftest import DATA, RECORDINGS
from tests.unit.audit.events import as_bytes, creation, event_list, reading

FILES = [*sorted((DATA / "audit" / "hostile").glob("*.jsonl")), *sorted(RECORDINGS.glob("*.jsonl"))]
TWO = (creation("one"), reading(), creation("two"))
DECOY = reading() | {"requestObject": {"spec": creation("decoy")}, "objectRef": {"name": '{"level":"x"},{"level":'}}


def nothing(_: Glance) -> bool:
    return False


def writes(glance: Glance) -> bool:
    return glance.verb != "get"


def of_bytes(event: Event) -> bytes:
    return event.raw


def count(skimmed: Skimmed) -> int:
    return skimmed.decoded.sound + len(skimmed.decoded.damaged) + len(skimmed.routine)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_posted_is_decoded_glanced_at_or_damaged_and_a_glance_sees_what_is_there(path: Path) -> None:
    lines = path.read_bytes().splitlines()
    body = event_list(*lines)
    whole = decode(body)
    skimmed = skim(body, nothing)
    assert count(skimmed) == count(skim(body, writes)) == len(lines)
    assert skim(body, writes).decoded.damaged == whole.damaged
    if whole.damaged:
        assert skim(body, writes).decoded == whole
        return
    for glance, event in zip(skimmed.routine, whole.events, strict=True):
        assert (glance.audit_id, glance.verb) == (event.audit_id, event.verb)
        assert (glance.at, glance.reason) == (event.at, event.reason)
        assert glance.user.username == event.actor
        assert glance.source_ips is not None
        assert (glance.source_ips.first, glance.user_agent) == ((event.source_ips or ("",))[0], event.user_agent)
        assert (glance.impersonated_user is None) == (event.impersonated_user is None)
        assert (glance.object_ref.resource if glance.object_ref else "") == event.resource
        assert (glance.response_status.code if glance.response_status else None) == event.code


def test_what_matters_is_complete_and_in_order() -> None:
    body = event_list(creation("one"), reading(), creation("two"), reading())
    skimmed = skim(body, writes)
    whole = decode(body).events
    assert skimmed.decoded.events == (whole[0], whole[2])
    assert [event.raw for event in skimmed.decoded.events] == [whole[0].raw, whole[2].raw]
    assert [glance.verb for glance in skimmed.routine] == ["get", "get"]


def posted(*events: dict[str, Any]) -> bytes:
    """Return the list as API servers write it, who leave out kind and version of its events."""
    return event_list(*(as_bytes(each).replace(LOG_HEADER, b"{") for each in events))


@pytest.mark.parametrize(
    "body",
    {
        "posted": posted(*TWO),
        "decoys": event_list(DECOY, creation("one"), DECOY, DECOY, creation("two")),
        "decoys posted": posted(DECOY, creation("one"), DECOY, DECOY, creation("two")),
        "no line feed": event_list(*TWO).rstrip(),
        "space between": event_list(*TWO).replace(b"," + LOG_HEADER, b" \n, \t" + LOG_HEADER),
        "space around": event_list(*TWO).replace(b":[{", b": [ {").replace(b"}]}", b"} ] } "),
        "more after them": event_list(reading(), creation()).rstrip().removesuffix(b"}") + b',"more":[{}]}',
        "another order": event_list(creation("one"), {"verb": "get"} | reading(), creation("two")),
        "no level": event_list(creation("one"), creation("two", level=None), reading()),
        "level twice": event_list(b'{"level":"RequestResponse",' + as_bytes(creation())[1:], reading()),
        "level escaped": event_list(as_bytes(creation()).replace(b'"level"', b'"l\\u0065vel"'), reading()),
    }.values(),
)
def test_what_matters_is_cut_out_of_the_list_where_it_stands(body: bytes) -> None:
    whole = decode(body)
    assert not whole.damaged
    decoded = skim(body, writes).decoded
    assert [event for event in whole.events if event.verb != "get"] == [
        event for event in decoded.events if event.verb != "get"
    ]
    assert count(skim(body, writes)) == len(whole.events)


def test_what_api_servers_post_is_skimmed() -> None:
    for body in (posted(creation(), reading()), posted(reading(), creation()), posted(creation(), reading()).rstrip()):
        assert len(skim(body, writes).routine) == 1


def test_what_is_no_text_is_damaged_where_it_matters_and_elsewhere_where_somebody_looks() -> None:
    address = (b"/namespaces", b"/\xffnamespaces")
    (glance,) = skim(event_list(as_bytes(reading()).replace(*address)), writes).routine
    assert glance.verb == "get"
    for old, new in ((b'"uid":"', b'"uid":"\xff'), (b"kubectl/v1.32.4", b"kubectl/\xff"), (b"create", b"create\xff")):
        (damaged,) = skim(event_list(reading(), as_bytes(creation()).replace(old, new)), writes).decoded.damaged
        assert damaged.event is not None
    (damaged,) = skim(event_list(as_bytes(reading()).replace(*address)), lambda _: True).decoded.damaged
    assert damaged.event is not None


def test_nothing_else_than_the_list_of_an_api_server_is_skimmed() -> None:
    body = b"\n".join(event_list(each) for each in (reading("a"), reading("b")))
    assert skim(body, nothing) == Skimmed(decode(body))


def test_an_event_that_says_of_itself_that_it_was_salvaged_was_not() -> None:
    body = event_list(creation() | {"salvaged": True, "raw": "eA=="})
    (event,) = skim(body, writes).decoded.events
    assert not event.salvaged
    assert event.raw in body


@given(st.sampled_from(FILES), st.data())
@settings(deadline=None, max_examples=100)
def test_a_list_cut_and_flipped_anywhere_comes_out_as_when_it_is_decoded(path: Path, data: st.DataObject) -> None:
    content = event_list(*path.read_bytes().splitlines()[:20])
    body = bytearray(content[: data.draw(st.integers(1, len(content)))] if data.draw(st.booleans()) else content)
    for _ in range(data.draw(st.integers(0, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    whole, skimmed = decode(bytes(body)), skim(bytes(body), writes)
    assert count(skimmed) >= whole.sound + len(whole.damaged)
    if not skimmed.routine:
        return
    assert len(skimmed.decoded.events) + len(skimmed.routine) == len(whole.events)
    assert set(map(of_bytes, skimmed.decoded.events)) <= set(map(of_bytes, whole.events))
