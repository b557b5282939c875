"""Runs a practice cluster, such as `manage.py practice_cluster --port 8001 --replay bootstrap clusterrole-takeover`."""

import secrets
import signal
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from alerts.cluster.practice import recordings, server
from alerts.cluster.practice.hook import Hook


class Command(BaseCommand):
    """Serves a practice cluster on loopback until it is interrupted."""

    help = "Run a practice cluster: a small server that speaks the Kubernetes API and sends audit events."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        named = ", ".join(recordings.scenarios())
        parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1; 0, the default, takes a free one")
        parser.add_argument("--hook", metavar="URL", help="where the audit events go")
        parser.add_argument("--hook-token-file", type=Path, metavar="FILE", help="holds the hook's bearer token")
        parser.add_argument("--replay", nargs="+", default=[], metavar="LOG", help=f"audit logs, or recorded: {named}")
        parser.add_argument("--shift-to-now", action="store_true", help="move the replayed times up to now")
        parser.add_argument("--send-replay", action="store_true", help="send the replayed events to the hook too")
        parser.add_argument(
            "--token-file", type=Path, metavar="FILE", help="token of Rolecall's account; made if missing"
        )
        parser.add_argument(
            "--admin-token-file", type=Path, metavar="FILE", help="token of a superuser; made if missing"
        )

    def handle(self, **options: Any) -> None:
        """Serve until SIGINT or SIGTERM."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        logs = [recordings.find(name) for name in options["replay"]]
        missing = [str(path) for path in logs if not path.is_file()]
        if missing:
            raise CommandError(f"There is no audit log {', '.join(missing)}.")
        try:
            with server.running(
                port=options["port"],
                hook=_hook(options["hook"], options["hook_token_file"]),
                replay=logs,
                shift_to_now=options["shift_to_now"],
                send_replay=options["send_replay"],
                token=_token(options["token_file"]),
                admin_token=_token(options["admin_token_file"]),
            ) as cluster:
                self.stdout.write(cluster.address)
                self.stdout.flush()
                signal.sigwait({signal.SIGINT, signal.SIGTERM})
        except OSError as error:
            raise CommandError(f"Port {options['port']} cannot be used: {error.strerror}.") from error


def _hook(url: str | None, token_file: Path | None) -> Hook | None:
    if url is None:
        return None
    if token_file is None:
        raise CommandError("--hook needs --hook-token-file.")
    return Hook(url, token_file.read_text().strip())


def _token(path: Path | None) -> str:
    """Return the token in a file, made where there is none, or the empty string without a file."""
    if path is None:
        return ""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(32))
    return path.read_text().strip()
