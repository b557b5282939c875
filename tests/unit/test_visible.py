"""Invisible characters become visible."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.audit.visible import JSONFormatter, LogFormatter, storable, visible


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("plain-name", "plain-name"),
        ("größe 日本", "größe 日本"),
        ("two\nlines", r"two\x0alines"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("nul\x00", r"nul\x00"),
        ("\ud800", r"\ud800"),
        ("tag\U000e0041", r"tag\U000e0041"),
    ],
)
def test_invisible_characters_are_written_as_escapes(hostile: str, shown: str) -> None:
    assert visible(hostile) == shown


@given(st.text())
def test_what_is_shown_stays_on_one_line_and_is_printable(text: str) -> None:
    shown = visible(text)
    assert len(shown.splitlines()) <= 1
    assert visible(shown) == shown


@given(st.text(alphabet=st.characters(codec=None)))
def test_what_is_stored_can_be_encoded_and_holds_no_nul(text: str) -> None:
    assert "\0" not in storable(text)
    storable(text).encode()


def test_a_log_message_cannot_start_a_line_of_its_own() -> None:
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "role %s", ("a\nCRITICAL forged",), None)
    assert LogFormatter("%(message)s").format(record) == r"role a\x0aCRITICAL forged"


def broken(message: str) -> logging.LogRecord:
    error = ValueError(message)
    return logging.LogRecord(
        "alerts.x", logging.ERROR, __file__, 1, "It broke: %s", (message,), (ValueError, error, None)
    )


@pytest.mark.parametrize("message", ["a\nCRITICAL forged", "a\x85CRITICAL forged", "\x1b[31m\u202e", "\ud800"])
def test_what_an_exception_quotes_cannot_start_a_line_either(message: str) -> None:
    lines = LogFormatter("%(levelname)s %(message)s").format(broken(message)).splitlines()
    assert lines[0] == f"ERROR It broke: {visible(message)}"
    assert all(line.startswith("  ") and visible(line) == line for line in lines[1:])
    assert len(lines) > 1


@pytest.mark.parametrize("message", ["a\nCRITICAL forged", "\x1b[31m\u202e", '"}\n{"level":"CRITICAL"}', "\ud800"])
def test_a_record_as_json_is_one_object_on_one_line(message: str) -> None:
    text = JSONFormatter().format(broken(message))
    assert text.isascii()
    assert len(text.splitlines()) == 1
    found = json.loads(text)
    assert found["message"] == f"It broke: {visible(message)}"
    assert (found["level"], found["logger"]) == ("ERROR", "alerts.x")
    assert found["time"].endswith("+00:00")
    assert "ValueError" in found["exception"]
    assert visible(found["exception"].replace("\n", "")) == found["exception"].replace("\n", "")
