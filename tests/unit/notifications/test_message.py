"""The subject of a message, whatever somebody put into it."""

from alerts.notifications.message import HEADLINE_LIMIT, Message


def headline(subject: str) -> str:
    return Message(key="k", thread="RC-1", subject=subject, text="", link="").headline


def test_a_headline_is_one_line() -> None:
    assert headline("ClusterRole x\r\nBcc: everybody@example.org\tcreated") == (
        "ClusterRole x Bcc: everybody@example.org created"
    )


def test_what_cannot_be_seen_is_shown_as_an_escape() -> None:
    assert headline("role \u202egpj.exe\u200b") == r"role \u202egpj.exe\u200b"


def test_a_headline_is_short_enough_for_slack() -> None:
    assert len(headline("x" * 1000)) == HEADLINE_LIMIT
