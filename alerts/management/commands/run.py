"""Run all of Rolecall on this machine."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from alerts.management import embedded
from alerts.management.supervision import AlreadyRunning, DidNotStart, Supervisor, alone_in


class Command(BaseCommand):
    """Starts web and worker, with a Valkey of their own unless BROKER_URL names a broker, until Ctrl+C."""

    help = (
        "Run all of Rolecall on this machine until Ctrl+C: web, worker, and a Valkey unless BROKER_URL names a broker."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--port", type=int, help="where to listen on 127.0.0.1 (default: the port of PUBLIC_URL)")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Start everything, say where it is, and keep it running.

        Raises CommandError with a sentence where something is in the way.
        """
        try:
            with alone_in(settings.DATA_DIR), Supervisor(self._say) as supervisor:
                web_socket = embedded.listener(options["port"])
                embedded.prepare()
                if embedded.brings_valkey():
                    supervisor.start(embedded.valkey())
                supervisor.start(embedded.worker(web_socket), embedded.web(web_socket))
                self._say(f"Rolecall is at {embedded.public_url(web_socket)}/  (Ctrl+C stops it)")
                if not User.objects.exists():
                    self._say("Nobody can log in yet: manage.py createsuperuser makes the first account.")
                supervisor.watch()
        except (AlreadyRunning, DidNotStart, embedded.PortTaken, embedded.DirectoryNotOurs) as error:
            raise CommandError(str(error)) from error

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
