"""Encrypt everything that is kept encrypted anew, under the first of CREDENTIAL_KEYS."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress

from alerts.services import rotation


class Command(BaseCommand):
    """Goes through credentials and stored bodies; interrupted, it is simply run again."""

    help = (
        "Encrypt credentials and stored bodies under the first of CREDENTIAL_KEYS. It can be interrupted and run again."
    )

    def handle(self, *_args: Any, **_options: Any) -> None:
        """Rotate everything, and say for each kind what came of it.

        Raises CommandError where something fits none of the keys; it was left as it is.
        """
        lost = 0
        with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
            for kind in rotation.kinds():
                results = list(progress.track(kind.rotate(), total=kind.count, description=kind.title))
                changed, unreadable = results.count(True), results.count(None)
                self.stdout.write(f"{kind.title}: {changed:,} encrypted anew, {results.count(False):,} were already.")
                lost += unreadable
        if lost:
            raise CommandError(
                f"{lost:,} things fit none of the keys in CREDENTIAL_KEYS and were left as they are. Put their key "
                "back and run this again; or enter those credentials anew."
            )
        self.stdout.write("Keys after the first can now be taken out of CREDENTIAL_KEYS.")
