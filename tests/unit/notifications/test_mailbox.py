"""The demo's mailbox: a folder of messages."""

import json
from pathlib import Path

from alerts.notifications import mailbox


def test_the_newest_comes_first_and_names_show_as_slack_shows_them(tmp_path: Path) -> None:
    mailbox.keep(tmp_path, b"Subject: first\nTo: a@example.org\n\nHello", suffix=".eml")
    payload = {"text": "x", "blocks": [{"text": {"text": "a &amp;lt; &lt;!channel&gt;"}}, {"text": {"text": "text"}}]}
    mailbox.keep(tmp_path, json.dumps({"channel": "#sec", "payload": payload}).encode(), suffix=".json")
    newest, oldest = mailbox.received(tmp_path)
    assert (newest.way, newest.to, newest.subject, newest.text) == ("slack", "#sec", "a &lt; <!channel>", "text")
    assert (oldest.way, oldest.to, oldest.subject, oldest.text) == ("email", "a@example.org", "first", "Hello")


def test_a_file_that_is_no_message_hides_no_other(tmp_path: Path) -> None:
    for name, content in (
        ("9-1.json", b"{"),
        ("9-2.json", b"[]"),
        ("9-3.json", b'{"channel": "x", "payload": {"blocks": [1]}}'),
        ("x-4.eml", b"Subject: without a time\n\n"),
        ("9-5.eml", b"Content-Type: text/plain; charset=nonsense\n\n\xff"),
        ("9-6.part", b"half"),
    ):
        (tmp_path / name).write_bytes(content)
    mailbox.keep(tmp_path, b"Subject: good\n\nHello", suffix=".eml")
    assert "good" in [each.subject for each in mailbox.received(tmp_path)]


def test_an_empty_or_missing_folder_holds_nothing(tmp_path: Path) -> None:
    assert mailbox.received(tmp_path / "missing") == []


def test_only_so_many_are_shown(tmp_path: Path) -> None:
    for number in range(5):
        mailbox.keep(tmp_path, f"Subject: {number}\n\n".encode(), suffix=".eml")
    assert [each.subject for each in mailbox.received(tmp_path, limit=2)] == ["4", "3"]
