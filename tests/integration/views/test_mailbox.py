"""The demo's mailbox on a page, and as the process that receives."""

import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
import urllib.request
from email.message import EmailMessage
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from alerts.notifications import mailbox

HOSTILE = "<!channel> <img src=x onerror=alert(1)>"
ROOT = Path(__file__).parents[3]


def test_an_installation_without_a_mailbox_has_no_such_page(as_ana: Client) -> None:
    assert as_ana.get(reverse("alerts:mailbox")).status_code == 404


def test_it_needs_a_log_in(client: Client, settings: Settings, tmp_path: Path) -> None:
    settings.MAILBOX_DIR = tmp_path
    assert client.get(reverse("alerts:mailbox"))["Location"].startswith(reverse("alerts:login"))


def test_mail_and_slack_are_shown_newest_first_and_never_run(
    as_vic: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.MAILBOX_DIR = tmp_path
    assert "Nothing received yet" in as_vic.get(reverse("alerts:mailbox")).content.decode()
    letter = EmailMessage()
    letter["Subject"], letter["To"] = HOSTILE, "priya@example.org"
    letter.set_content(f"{HOSTILE}\n")
    letter.add_alternative("<script>alert(2)</script>", subtype="html")
    mailbox.keep(tmp_path, letter.as_bytes(), suffix=".eml")
    payload = {"blocks": [{"text": {"text": "&lt;img src=x onerror=alert(1)&gt;"}}]}
    mailbox.keep(tmp_path, json.dumps({"channel": "#security", "payload": payload}).encode(), suffix=".json")
    page = as_vic.get(reverse("alerts:mailbox")).content.decode()
    assert page.index("#security") < page.index("priya@example.org")
    assert "<img" not in page
    assert "alert(2)" not in page


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def start(directory: Path, *, smtp_port: int, slack_port: int) -> subprocess.Popen[str]:
    command = [sys.executable, "manage.py", "mailbox", "--directory", str(directory)]
    command += ["--smtp-port", str(smtp_port), "--slack-port", str(slack_port)]
    environment = os.environ | {"DATA_DIR": str(directory / "data")}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_the_process_receives_both_and_stops_when_asked(tmp_path: Path) -> None:
    smtp_port, slack_port = free_port(), free_port()
    with start(tmp_path, smtp_port=smtp_port, slack_port=slack_port) as process:
        assert process.stdout is not None
        assert "Mail on port" in process.stdout.readline()
        with smtplib.SMTP("127.0.0.1", smtp_port) as client:
            client.sendmail("a@example.org", ["b@example.org"], "Subject: hello\r\nTo: b@example.org\r\n\r\nHi")
        request = urllib.request.Request(
            f"http://127.0.0.1:{slack_port}/services/T0/B0/secretpart",
            data=b'{"text": "hello"}',
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as response:  # noqa: S310  the address is the one above
            assert response.read() == b"ok"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert [(each.way, each.subject) for each in mailbox.received(tmp_path)] == [("slack", "hello"), ("email", "hello")]
    assert "secretpart" not in "".join(path.read_text() for path in tmp_path.glob("*.json"))


@pytest.mark.parametrize("busy", ["smtp_port", "slack_port"])
def test_a_busy_port_is_a_clear_message(busy: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        ports = {"smtp_port": free_port(), "slack_port": free_port()} | {busy: int(server.getsockname()[1])}
        with start(tmp_path, **ports) as process:
            assert process.wait(timeout=10) == 1
            assert process.stderr is not None
            assert f"Port {ports[busy]} cannot be used" in process.stderr.read()
