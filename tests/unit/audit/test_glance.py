"""Skimming loses nothing: what is not decoded is glanced at, and where anything is damaged all of it is decoded."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.audit.decode import decode
from alerts.audit.glance import Glance, Skimmed, skim
from tests.conftest import DATA, RECORDINGS
from tests.unit.audit.events import creation, event_list, reading

FILES = [*sorted((DATA / "audit" / "hostile").glob("*.jsonl")), *sorted(RECORDINGS.glob("*.jsonl"))]


def nothing(_: Glance) -> bool:
    return False


def writes(glance: Glance) -> bool:
    return glance.verb != "get"


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
        assert (glance.request_received_timestamp or glance.stage_timestamp) == event.at
        assert (glance.annotations.reason if glance.annotations else "") == event.reason
        assert glance.user.username == event.actor
        assert (glance.source_ips, glance.user_agent) == (event.source_ips, event.user_agent)
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
