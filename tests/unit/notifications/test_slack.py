"""What a Slack message is made of, whatever an attacker called a role."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.notifications import slack
from alerts.notifications.message import Message

LINK = "https://rolecall.example/alerts/7"


def made(subject: str = "A role was created", text: str = "Somebody created a role.") -> Message:
    return Message(key="k" * 32, thread="RC-7", subject=subject, text=text, link=LINK)


def texts(message: Message) -> list[str]:
    return [block["text"]["text"] for block in slack.blocks(message)]


def size(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize("name", ["<!channel>", "<!here>", "<@U123>", "<#C123>", "<http://evil|x>", "a & b > c"])
def test_a_name_neither_mentions_nor_links(name: str) -> None:
    message = made(subject=name, text=f"the role {name}")
    everything = json.dumps([slack.blocks(message), slack.fallback(message)])
    without_ours = everything.replace(f"<{LINK}|Open RC-7 in Rolecall>", "")
    assert "<" not in without_ours
    assert ">" not in without_ours


def test_what_came_from_outside_is_plain_text_without_emoji() -> None:
    *outside, link = slack.blocks(made())
    assert {(block["text"]["type"], block["text"]["emoji"]) for block in outside} == {("plain_text", False)}
    assert link["text"] == {"type": "mrkdwn", "text": f"<{LINK}|Open RC-7 in Rolecall>", "verbatim": True}


def test_the_fallback_says_the_subject_and_where_to_look() -> None:
    assert slack.fallback(made("<b>")) == f"&lt;b&gt; {LINK}"


@pytest.mark.parametrize("character", ["x", "&", "<", "\U0001f525", "&\n"])
def test_a_text_of_any_length_fits_into_what_slack_takes(character: str) -> None:
    message = made(subject=character * 400, text=character * 10_000)
    blocks: list[dict[str, Any]] = slack.blocks(message)
    assert len(blocks) <= 50
    assert size(blocks[0]["text"]["text"]) <= 150
    assert all(1 <= size(block["text"]["text"]) <= 3000 for block in blocks)


@given(st.text(max_size=9_000))
def test_nothing_of_a_text_is_lost_or_reordered(text: str) -> None:
    shown = "".join(texts(made(text=text))[1:-1])
    assert "".join(shown.split()) == "".join(slack.escaped(text).split())
