"""Delete stored batches that are past their time, or more than there is room for."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.template.defaultfilters import filesizeformat

from alerts.services import retention


class Command(BaseCommand):
    """Does now what the schedule does every hour, and says what came of it."""

    help = (
        "Delete examined batches older than RETENTION_DAYS, and the oldest of a cluster beyond RETENTION_GIB; and "
        "damaged items that no alert is about, when they are as old. What waits, what was set aside and what alerts "
        "rest on stays."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Purge, and write a line for each cluster."""
        verb = "would delete" if options["dry_run"] else "deleted"
        for each in retention.purge(dry_run=options["dry_run"]):
            self.stdout.write(
                f"{each.cluster}: {verb} {each.too_old:,} batches for their age and {each.too_many:,} for their size, "
                f"{filesizeformat(each.stored_bytes)} in all, "
                f"and {each.damaged:,} damaged items that no alert is about."
            )
