"""Show everything on a recorded attack, with data, mailbox and cluster of its own."""

import contextlib
import os
import secrets
import shutil
import socket
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from alerts.management import demonstration, embedded
from alerts.management.supervision import AlreadyRunning, DidNotStart, Program, Supervisor, alone_in

# In the order in which they were recorded: harmless changes around one attack
RECORDINGS = (
    "bootstrap",
    "narrow-role",
    "operator-install",
    "refused-escalation",
    "clusterrole-takeover",
    "binding-to-admin",
)
SECONDS_FOR_THE_ATTACK = 60.0
WELCOME = """
Rolecall is at {address}/

  Log in with one of these names and its password. The responder may do everything an incident needs.

    responder      {responder}
    analyst        {analyst}
    viewer         {viewer}
    administrator  {administrator}

  Begin with the alert “{attack}”: {address}{link}
  Mail and Slack messages stay here: the page Mailbox shows what arrived.
  Ctrl+C stops everything.
"""


class Command(BaseCommand):
    """Prepares a directory of its own, starts again with settings that point there, and runs until Ctrl+C."""

    help = "Show everything on a recorded attack: people, a practice cluster, a mailbox. Nothing of yours is touched."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--port", type=int, default=embedded.STANDARD_PORT, help="where to listen on 127.0.0.1")
        parser.add_argument("--keep", action="store_true", help="keep the alerts of the last demo; the cluster is new")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Run the demo.

        Raises CommandError with a sentence where something is in the way.
        """
        try:
            if settings.MAILBOX_DIR != settings.DATA_DIR / "mailbox":
                _start_again_in(settings.DATA_DIR / "demo", port=options["port"], keep=options["keep"])
            with alone_in(settings.DATA_DIR), Supervisor(self._say) as supervisor:
                web_socket = embedded.listener(options["port"])
                embedded.prepare()
                passwords = demonstration.make_people()
                demonstration.make_stakeholders()
                _start(supervisor, web_socket, replay=not (options["keep"] and demonstration.attack()))
                self._say(_welcome(web_socket, passwords))
                supervisor.watch()
        except (AlreadyRunning, DidNotStart, embedded.PortTaken, embedded.DirectoryNotOurs) as error:
            raise CommandError(str(error)) from error

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _start_again_in(directory: Path, *, port: int, keep: bool) -> NoReturn:
    """Empty the directory unless it is kept, and become a demo that has all its settings there."""
    with alone_in(directory) as lock:
        for path in () if keep else directory.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != lock:
                path.unlink()
    environment = {
        "DATA_DIR": str(directory),
        "DATABASE_URL": f"sqlite:///{quote(str(directory))}/rolecall.sqlite3",
        "BROKER_URL": "",
        "SECRET_KEY": "",
        "CREDENTIAL_KEYS": "",
        "PUBLIC_URL": f"http://{embedded.LOOPBACK}:{port}",
        "ALLOWED_HOSTS": f"{embedded.LOOPBACK},localhost",
        "EMAIL_URL": f"smtp://{embedded.LOOPBACK}:{_free_port()}",
        "SLACK_URL": f"http://{embedded.LOOPBACK}:{_free_port()}/api/",
        "MAILBOX_DIR": str(directory / "mailbox"),
        "LOG_LEVEL": "WARNING",
    }
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **environment})  # noqa: S606


def _start(supervisor: Supervisor, web_socket: socket.socket, *, replay: bool) -> None:
    """Start everything and wait until the recorded attack has become an alert with its evidence.

    Raises DidNotStart.
    """
    practice_cluster = _practice_cluster(web_socket, replay=replay)
    supervisor.start(embedded.valkey(), _mailbox())
    supervisor.start(embedded.worker(web_socket), embedded.web(web_socket), practice_cluster)
    deadline = time.monotonic() + SECONDS_FOR_THE_ATTACK
    while (attack := demonstration.attack()) is None or attack.evidence_at is None:
        if time.monotonic() > deadline:
            raise DidNotStart("The recorded attack did not become an alert in time; see the lines above.")
        time.sleep(0.2)


def _practice_cluster(web_socket: socket.socket, *, replay: bool) -> Program:
    """Return the practice cluster, in which the recordings have just happened, and connect it.

    Their events go to the hook like all others, unless an earlier demo has sent them.
    """
    port, api_token = _free_port(), secrets.token_urlsafe(32)
    hook_token = demonstration.connect_cluster(f"http://{embedded.LOOPBACK}:{port}", api_token)
    hook = f"{embedded.public_url(web_socket)}/hook/{demonstration.CLUSTER}"
    return Program(
        name="practice cluster",
        command=(
            *(sys.executable, "manage.py", "practice_cluster", "--port", str(port)),
            *("--hook", hook, "--hook-token-file", str(_private_file("hook-token", hook_token))),
            *("--token-file", str(_private_file("api-token", api_token))),
            *("--replay", *RECORDINGS, "--shift-to-now", *(["--send-replay"] if replay else [])),
        ),
        answers=lambda: _listens(port),
    )


def _mailbox() -> Program:
    """Return the mail server and the stand-in for Slack that the settings of the demo name."""
    smtp_port, slack_port = settings.MAILERS["default"]["OPTIONS"]["port"], urlsplit(settings.SLACK_URL).port
    return Program(
        name="mailbox",
        command=(
            *(sys.executable, "manage.py", "mailbox", "--directory", str(settings.MAILBOX_DIR)),
            *("--smtp-port", str(smtp_port), "--slack-port", str(slack_port)),
        ),
        answers=lambda: _listens(smtp_port) and _listens(slack_port),
    )


def _welcome(web_socket: socket.socket, passwords: dict[str, str]) -> str:
    attack = demonstration.attack()
    return WELCOME.format(
        address=embedded.public_url(web_socket), attack=attack, link=attack and attack.get_absolute_url(), **passwords
    )


def _private_file(name: str, content: str) -> Path:
    path = settings.DATA_DIR / name
    path.touch(mode=0o600)
    path.write_text(content)
    return path


def _free_port() -> int:
    with socket.create_server((embedded.LOOPBACK, 0)) as server:
        return int(server.getsockname()[1])


def _listens(port: int | None) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((embedded.LOOPBACK, port or 0), timeout=1):
        return True
    return False
