import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from alerts.audit import salvage

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=15,
)


def as_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


@given(st.lists(values))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_an_array_splits_into_its_elements(elements: list[Any]) -> None:
    text = as_bytes(elements)
    found = list(salvage.elements(text, 0))
    assert [json.loads(text[start:stop]) for start, stop, _ in found] == elements
    assert not any(problem for *_, problem in found)


@given(st.dictionaries(st.text(st.characters(min_codepoint=97, max_codepoint=122)), values))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_an_object_splits_into_its_members(members: dict[str, Any]) -> None:
    text = as_bytes(members)
    assert {key: json.loads(text[start:end]) for key, start, end in salvage.members(text)} == members


@given(values)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_sound_is_parsed_as_anybody_would(value: Any) -> None:
    assert salvage.parse(as_bytes(value)) == value


def _deep(value: Any) -> int:
    if isinstance(value, dict | list):
        return 1 + max((_deep(each) for each in (value.values() if isinstance(value, dict) else value)), default=0)
    return 0


@given(values)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_depth_counts_brackets_outside_strings(value: Any) -> None:
    padded = [[], {}] * salvage.DEEPEST + [value]
    assert salvage.depth(as_bytes(padded)) == _deep(padded)


def test_what_opens_without_end_is_no_deeper_than_too_deep() -> None:
    assert salvage.depth(b"[" * 5000) == salvage.DEEPEST + 1
    assert salvage.depth(b"[]" * 300 + b"]" * 300) == 1


@given(st.binary())
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_no_bytes_make_the_tokenizer_raise_or_stay(text: bytes) -> None:
    assert salvage.end(text, 0) is None or 0 < (salvage.end(text, 0) or 0) <= max(len(text), 1)
    assert len(list(salvage.elements(b"[" + text, 0))) <= len(text) + 1
    assert len(list(salvage.members(b"{" + text))) <= len(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb'"\ud800"', "\ufffd"),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\\ud800"', r"\ud800"),
        (b'"\xff"', "\ufffd"),
        (b"1e999", "1e999"),
        (b"-1e999", "-1e999"),
        (b"9" * 5000, "9" * 5000),
        (b"NaN", "NaN"),
    ],
)
def test_what_python_refuses_is_read_as_kubernetes_would(text: bytes, value: str) -> None:
    assert salvage.parse(text) == value


@pytest.mark.parametrize("text", [b"", b"{", b"[1,", b"nope", b"[" * 5000 + b"]" * 5000, b'"\x01"'])
def test_what_cannot_be_read_says_so(text: bytes) -> None:
    with pytest.raises(salvage.Unreadable):
        salvage.parse(text)


def test_a_long_string_takes_one_step_and_not_a_stack() -> None:
    text = b'["' + rb"\"x" * 1_000_000 + b'"]'
    assert salvage.end(text, 0) == len(text)


def naive_end(text: str) -> int | None:
    """Return where the object or array ends that a text begins with, one character after the other."""
    awaited, quoted, at = "", False, 0
    while at < len(text):
        letter = text[at]
        if quoted:
            at += letter == "\\"
            quoted = letter != '"'
        elif letter == '"':
            quoted = True
        elif letter in "[{":
            awaited += "]}"["[{".index(letter)]
        elif letter in "]}":
            if not awaited.endswith(letter):
                return None
            awaited = awaited[:-1]
            if not awaited:
                return at + 1
        at += 1
    return None


@given(text=st.sampled_from("[{").flatmap(lambda first: st.text('[]{}",\\a', max_size=30).map(first.__add__)))
@example(text='[[{"a":[]},{"]":[[]]}]]]')
@example(text="[{}[[]]}")
@settings(deadline=None, max_examples=300)
def test_an_end_is_where_one_finds_it_who_reads_letter_by_letter(text: str) -> None:
    assert salvage.end(text.encode(), 0) == naive_end(text)


def test_brackets_in_strings_are_not_deep() -> None:
    assert salvage.depth(b'"' + b"[" * 5000 + b'"') == 0


@pytest.mark.parametrize(
    "text",
    [
        b"[" + b'{"level":"Metadata","x":[,' * 20_000,
        b"[" + b'{"level":"Metadata","x":[{"a":1},' * 20_000,
        b"[" + b'{"level":"Metadata","x":[,' * 5 + b"1," * 200_000,
    ],
)
def test_no_number_of_cut_elements_makes_it_slow(text: bytes) -> None:
    began = time.process_time()
    assert list(salvage.elements(text, 0))[-1][1] == len(text)
    assert time.process_time() - began < 5


def test_after_many_cut_elements_the_sound_ones_are_still_found() -> None:
    sound = b'{"level":"Metadata","x":[{"a":[1]}]}'
    text = b"[" + b",".join([b'{"level":"Metadata","x":[', sound] * 10) + b"]"
    found = [(text[start:stop], problem) for start, stop, problem in salvage.elements(text, 0)]
    assert found == [(b'{"level":"Metadata","x":[', salvage.CUT), (sound, "")] * 10
