"""Compare the roles of two manifests: what is permitted now that was not before, and the other way round."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from alerts.management import manifest_files
from alerts.rbac.comparison import Part, Verdict
from alerts.rbac.report import Change, changes

STYLES = {
    Verdict.NEW_ACCESS: "bold red",
    Verdict.MIXED: "bold red",
    Verdict.NARROWED: "green",
    Verdict.EQUIVALENT: "green",
    Verdict.UNKNOWN: "yellow",
}


class Command(BaseCommand):
    """Exits 0, 1 with --fail-on-new-access where access is new or may be, and 2 where a manifest cannot be read."""

    help = "Compare the roles of two manifests, exactly: YAML or JSON, several documents, Lists; - is standard input."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("old", metavar="OLD", help="the manifest before")
        parser.add_argument("new", metavar="NEW", help="the manifest after")
        parser.add_argument("--json", action="store_true", help="print everything as JSON")
        parser.add_argument("--fail-on-new-access", action="store_true", help="exit 1 where anybody can do more")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Print what changed, role by role.

        Raises CommandError, and SystemExit where access is new and the pipeline is to stop.
        """
        if options["old"] == options["new"] == manifest_files.STANDARD_INPUT:
            raise CommandError("standard input can be one of the two only", returncode=manifest_files.BAD_INPUT)
        found = changes(manifest_files.load(options["old"]), manifest_files.load(options["new"]))
        new_access = any(change.grants_new_access for change in found)
        if options["json"]:
            data = {"new_access": new_access, "roles": [change.data() for change in found]}
            self.stdout.write(json.dumps(data, indent=2))
        else:
            console = manifest_files.console(self.stdout)
            for change in found:
                _print(console, change)
        uncertain = any(change.comparison.verdict is Verdict.UNKNOWN for change in found)
        if options["fail_on_new_access"] and (new_access or uncertain):
            sys.exit(manifest_files.NEW_ACCESS)


def _print(console: Console, change: Change) -> None:
    comparison = change.comparison
    state = " (added)" if change.old is None else " (removed)" if change.new is None else ""
    heading = manifest_files.text(change.name, "bold")
    heading.append(f"{state}: ")
    heading.append(comparison.verdict.value, STYLES[comparison.verdict])
    console.print(heading)
    if comparison.gains or comparison.losses:
        table = manifest_files.table("", "permission", "rule", "try")
        _rows(table.add_row, "+", "red", comparison.gains)
        _rows(table.add_row, "-", "green", comparison.losses)
        console.print(table)
    for target in change.feeds:
        console.print(manifest_files.text(f"+ its labels feed it into {target}, whose holders gain it", "red"))
    if comparison.cut_off:
        console.print(manifest_files.text(comparison.cut_off, "yellow"))
    console.print()


def _rows(add: Any, sign: str, style: str, parts: tuple[Part, ...]) -> None:
    for part in parts:
        rules = ", ".join(str(rule) for rule in part.rules)
        add(
            manifest_files.text(sign, style),
            manifest_files.text(part.text, style),
            rules,
            manifest_files.text(part.example.kubectl()),
        )
