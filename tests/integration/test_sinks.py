"""The demo's stand-in for Slack answers as Slack does, also where somebody asks wrongly."""

import gc
import http.client
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alerts.notifications import mailbox
from alerts.notifications.sinks import BODY_LIMIT, MailSink, SlackSink

AUTHORISED = {"Authorization": "Bearer xoxb-1-2"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[SlackSink]:
    with SlackSink(tmp_path) as sink:
        yield sink


def ask(sink: SlackSink, path: str, body: str = "", headers: dict[str, str] | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=5)
    connection.request("POST", path, body, headers or {})
    response = connection.getresponse()
    answer = response.status, response.read().decode()
    connection.close()
    return answer


def api(sink: SlackSink, method: str, fields: Any, headers: dict[str, str]) -> dict[str, Any]:
    status, body = ask(sink, f"/api/{method}", json.dumps(fields), JSON | headers)
    assert status == 200
    answer: dict[str, Any] = json.loads(body)
    return answer


@pytest.mark.parametrize(
    ("fields", "headers", "error"),
    [
        ({"channel": "#a", "text": "x"}, {}, "not_authed"),
        ({"channel": "#a", "text": "x"}, {"Authorization": "Bearer nonsense"}, "invalid_auth"),
        ({"text": "x"}, AUTHORISED, "channel_not_found"),
        ({"channel": "#a"}, AUTHORISED, "no_text"),
        ([], AUTHORISED, "invalid_json"),
    ],
)
def test_a_wrong_message_is_refused_by_slacks_names(
    sink: SlackSink, fields: Any, headers: dict[str, str], error: str
) -> None:
    assert api(sink, "chat.postMessage", fields, headers) == {"ok": False, "error": error}
    assert mailbox.received(sink.directory) == []


def test_a_message_may_come_as_a_form(sink: SlackSink) -> None:
    status, body = ask(sink, "/api/chat.postMessage", "channel=%23a&text=x%20y", AUTHORISED)
    assert (status, json.loads(body)["ok"]) == (200, True)
    assert [(each.to, each.subject) for each in mailbox.received(sink.directory)] == [("#a", "x y")]


def test_a_token_can_be_tried_and_an_unknown_method_is_named_so(sink: SlackSink) -> None:
    assert api(sink, "auth.test", {}, AUTHORISED)["ok"] is True
    assert api(sink, "auth.test", {}, {})["error"] == "not_authed"
    assert api(sink, "files.upload", {}, AUTHORISED)["error"] == "unknown_method"


@pytest.mark.parametrize(("body", "answer"), [("{", "invalid_payload"), ("{}", "no_text")])
def test_a_webhook_refuses_with_a_status(sink: SlackSink, body: str, answer: str) -> None:
    assert ask(sink, "/services/T/B/x", body, JSON) == (400, answer)


def test_a_body_that_is_far_too_long_is_not_read(sink: SlackSink) -> None:
    assert ask(sink, "/services/T/B/x", "", {"Content-Length": str(BODY_LIMIT + 1)})[0] == 413


def test_a_connection_that_was_just_made_is_closed_when_the_sink_stops(tmp_path: Path) -> None:
    for _ in range(2):
        with MailSink(tmp_path) as sink:
            client = socket.create_connection(("127.0.0.1", sink.port))
        # What was forgotten would say so here.
        gc.collect()
        client.close()


def test_both_stop_while_somebody_is_connected(tmp_path: Path) -> None:
    with MailSink(tmp_path) as mail, SlackSink(tmp_path) as slack:
        connections = [http.client.HTTPConnection("127.0.0.1", port) for port in (mail.port, slack.port)]
        for connection in connections:
            connection.connect()
    for connection in connections:
        connection.close()
    with MailSink(tmp_path, port=mail.port), SlackSink(tmp_path, port=slack.port):
        pass
