"""Explain the roles of a manifest: how bad, what they are capable of and why, what they permit, what grants nothing."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console

from alerts.management import manifest_files
from alerts.rbac import default_roles
from alerts.rbac.report import Explanation, explain
from alerts.rbac.table import Matrix, Row


class Command(BaseCommand):
    """Exits 0, 1 with --fail-on-new-access where access is new against the default role, and 2 on bad input."""

    help = (
        "Explain the roles of a manifest: YAML or JSON, several documents, Lists, with bindings; - is standard input."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options."""
        parser.add_argument("file", metavar="FILE", help="the manifest")
        parser.add_argument("--against", default="", metavar="ROLE", help="compare with a default role such as view")
        parser.add_argument("--json", action="store_true", help="print everything as JSON")
        parser.add_argument(
            "--fail-on-new-access",
            action="store_true",
            help="exit 1 where a role permits what the default role does not (without --against: anything)",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Print an explanation of every role.

        Raises CommandError, and SystemExit where access is new and the pipeline is to stop.
        """
        if options["against"] and options["against"] not in default_roles():
            raise CommandError(
                f"Kubernetes has no default role {options['against']!r}", returncode=manifest_files.BAD_INPUT
            )
        found = explain(manifest_files.load(options["file"]), options["against"])
        if options["json"]:
            self.stdout.write(json.dumps({"roles": [one.data() for one in found]}, indent=2))
        else:
            console = manifest_files.console(self.stdout)
            for one in found:
                _print(console, one)
        if options["fail_on_new_access"] and any(one.comparison.grants_new_access for one in found):
            sys.exit(manifest_files.NEW_ACCESS)


def _print(console: Console, one: Explanation) -> None:
    severity = one.assessment.severity.value
    heading = manifest_files.text(one.role.ref, "bold")
    heading.append(f": {one.assessment.score} {severity}", manifest_files.SEVERITY_STYLES[severity])
    console.print(heading)
    factors = "; ".join(f"{factor.effect} {factor.label}" for factor in one.assessment.factors)
    console.print(manifest_files.text(factors, "dim"))
    _print_capabilities(console, one)
    _print_holders(console, one)
    _print_matrix(console, one.matrix)
    for target in one.feeds:
        console.print(manifest_files.text(f"Its labels feed it into {target}, whose holders have it too."))
    if one.fit is not None:
        used = f"{one.fit.used:.0%}"
        console.print(manifest_files.text(f"Fits inside the default role {one.fit.name}, of which it uses {used}."))
    console.print()


def _print_capabilities(console: Console, one: Explanation) -> None:
    held = (*one.assessment.conditions, *one.assessment.capabilities)
    if not held:
        return
    table = manifest_files.table("", "capable of", "ATT&CK", "rule", "proof")
    for capability in held:
        proof = capability.proofs[0] if capability.proofs else None
        table.add_row(
            str(capability.base),
            manifest_files.text(capability.title),
            ", ".join(capability.capability.techniques[:2]),
            str(proof.index) if proof else "",
            manifest_files.text(proof.kubectl() if proof else capability.note),
        )
    console.print(table)


def _print_holders(console: Console, one: Explanation) -> None:
    for gain in one.assessment.net_new:
        where = f"in {gain.scope}" if gain.scope else "everywhere"
        what = "; ".join(held.title for held in gain.new[:3]) or "nothing dangerous that is new"
        console.print(manifest_files.text(f"{gain.subject} has it {where} through {gain.holder.binding}: {what}"))


def _print_matrix(console: Console, matrix: Matrix) -> None:
    if matrix.rows:
        table = manifest_files.table("permits", *matrix.columns)
        for row in matrix.rows:
            table.add_row(manifest_files.text(_label(row)), *(_cell(cell) for cell in row.cells))
        console.print(table)
    if matrix.cut_off:
        console.print(manifest_files.text(matrix.cut_off, "yellow"))
    for dead in matrix.inert:
        console.print(manifest_files.text(f"rule {dead.index} grants nothing by {dead}", "dim"))


def _label(row: Row) -> str:
    return f"{row.label} ({row.group})" if row.group else row.label


def _cell(cell: Any) -> Any:
    if cell is None:
        return ""
    names = f" {', '.join(cell.names[:2])}" if cell.names else ""
    star = "*" if cell.manner == "wildcard" else ""
    return manifest_files.text(f"{cell.symbol}{star}{names} {', '.join(cell.verbs)}".strip())
