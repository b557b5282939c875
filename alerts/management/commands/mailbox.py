"""The demo's own mailbox as a process: a mail server and a stand-in for Slack, until it is stopped."""

import contextlib
import logging
import signal
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from alerts.notifications.sinks import MailSink, SlackSink


class Command(BaseCommand):
    """manage.py mailbox --smtp-port N --slack-port N --directory DIR."""

    help = "Receive mail and Slack messages on this machine and keep them in a folder, for demonstrations."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take the ports and the folder."""
        parser.add_argument("--smtp-port", type=int, required=True)
        parser.add_argument("--slack-port", type=int, required=True)
        parser.add_argument("--directory", type=Path, required=True)

    def handle(self, *_args: Any, smtp_port: int, slack_port: int, directory: Path, **_options: Any) -> None:
        """Serve until SIGTERM or SIGINT."""
        logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd tells of every command
        stop = {signal.SIGTERM, signal.SIGINT}
        # Blocked before the threads start, so that they inherit it and only sigwait sees the signal.
        signal.pthread_sigmask(signal.SIG_BLOCK, stop)
        with contextlib.ExitStack() as running:
            for sink, port in ((MailSink, smtp_port), (SlackSink, slack_port)):
                try:
                    running.enter_context(sink(directory, port=port))
                except OSError as error:
                    raise CommandError(f"Port {port} cannot be used: {error.strerror}.") from None
            self.stdout.write(f"Mail on port {smtp_port}, Slack on port {slack_port}, kept in {directory}")
            self.stdout.flush()
            signal.sigwait(stop)
