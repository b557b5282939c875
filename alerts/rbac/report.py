"""The outcome of comparing and explaining roles as plain data: what a machine reads, and a page or a table shows."""

from dataclasses import dataclass
from typing import Any

from alerts.rbac.access import Access
from alerts.rbac.capability import Held
from alerts.rbac.comparison import UNSEEN, Comparison, Part, compare
from alerts.rbac.coverage import covers
from alerts.rbac.defaults import default_roles
from alerts.rbac.gains import NetNew
from alerts.rbac.manifests import Contents
from alerts.rbac.objects import Role
from alerts.rbac.projection import matrix
from alerts.rbac.rules import RuleSet
from alerts.rbac.score import Assessment, assess
from alerts.rbac.similarity import Fit, smallest_default
from alerts.rbac.table import Matrix


@dataclass(frozen=True)
class Change:
    """What became of one role: its name, the comparison, and the aggregated roles whose holders gain by it.

    `old` or `new` is None where the role is in one of the files only.
    """

    name: str
    old: Role | None
    new: Role | None
    comparison: Comparison
    feeds: tuple[str, ...]

    @property
    def grants_new_access(self) -> bool:
        """Whether anybody can do more: by the rules, or by labels that feed them into an aggregated role."""
        return self.comparison.grants_new_access or bool(self.feeds)

    def data(self) -> dict[str, Any]:
        """Return the change as JSON takes it."""
        return {
            "role": self.name,
            "verdict": self.comparison.verdict.value,
            "new_access": self.grants_new_access,
            "gains": [part_data(part) for part in self.comparison.gains],
            "losses": [part_data(part) for part in self.comparison.losses],
            "feeds": list(self.feeds),
            "cut_off": self.comparison.cut_off,
        }


def changes(old: Contents, new: Contents) -> tuple[Change, ...]:
    """Compare the roles of two files, by kind, namespace and name; a single role on each side whatever they are called.

    A role that one side lacks is compared with nothing.
    """
    before, after = ({role.ref: role for role in side.roles} for side in (old, new))
    if len(before) == len(after) == 1 and before.keys() != after.keys():
        (mine,), (theirs,) = before.values(), after.values()
        return (_change(f"{mine.ref} → {theirs.ref}", mine, theirs, old, new),)
    refs = dict.fromkeys((*before, *after))
    return tuple(_change(str(ref), before.get(ref), after.get(ref), old, new) for ref in refs)


def _change(name: str, old: Role | None, new: Role | None, before: Contents, after: Contents) -> Change:
    earlier, later = _with_defaults(before), _with_defaults(after)
    comparison = compare(earlier.rules(old.ref) if old else None, later.rules(new.ref) if new else None)
    return Change(name, old, new, comparison, _newly_fed(old, new, earlier, later))


def _with_defaults(contents: Contents) -> Access:
    return Access((*default_roles().values(), *contents.roles), contents.bindings)


def _newly_fed(old: Role | None, new: Role | None, earlier: Access, later: Access) -> tuple[str, ...]:
    """Return the aggregated roles that permit more by what this role feeds into them."""
    if new is None:
        return ()
    was_fed = earlier.aggregates(old.ref) if old else {}
    return tuple(
        target.name
        for target in later.aggregates(new.ref)
        if target not in was_fed and not covers(earlier.rules(target), later.rules(new.ref))
    )


@dataclass(frozen=True)
class Explanation:
    """Everything there is to say about one role of a file, taken with the bindings that are in the file too."""

    role: Role
    assessment: Assessment
    matrix: Matrix
    comparison: Comparison
    fit: Fit | None
    feeds: tuple[str, ...]

    def data(self) -> dict[str, Any]:
        """Return the explanation as JSON takes it."""
        assessment = self.assessment
        return {
            "role": str(self.role.ref),
            "score": assessment.score,
            "severity": assessment.severity.value,
            "factors": [{"effect": factor.effect, "label": factor.label} for factor in assessment.factors],
            "capabilities": [held_data(one) for one in assessment.capabilities],
            "conditions": [held_data(one) for one in assessment.conditions],
            "holders": [net_new_data(one) for one in assessment.net_new],
            "feeds": list(self.feeds),
            "permits": matrix_data(self.matrix),
            "inert": [
                {"rule": one.index, "field": one.field, "word": one.word, "reason": one.reason}
                for one in self.matrix.inert
            ],
            "smallest_default": {"name": self.fit.name, "used": round(self.fit.used, 3)} if self.fit else None,
            "new_access": self.comparison.grants_new_access,
            "cut_off": self.comparison.cut_off,
        }


def explain(contents: Contents, against: str = "") -> tuple[Explanation, ...]:
    """Explain every role of a file, in order. Its permissions are compared with a default role's, or with nothing.

    A role that no binding of the file refers to is scored as if it were bound: for the whole cluster, or a Role in its
    namespace. Raises KeyError where there is no default role of that name.
    """
    access = _with_defaults(contents)
    baseline = default_roles()[against].rules if against else None
    return tuple(_explanation(role, access, baseline) for role in contents.roles)


def _explanation(role: Role, access: Access, baseline: RuleSet | None) -> Explanation:
    rules, scope = access.rules(role.ref), role.ref.namespace
    bound = bool(access.holders(role.ref))
    assessment = assess(rules, ref=role.ref, access=access) if bound else assess(rules, scope=scope)
    return Explanation(
        role,
        assessment,
        matrix(rules, baseline if baseline is not None else UNSEEN, scope=scope),
        compare(baseline, rules),
        smallest_default(rules),
        tuple(target.name for target in access.aggregates(role.ref)),
    )


def part_data(part: Part) -> dict[str, Any]:
    """Return a gain or loss as JSON takes it."""
    return {"text": part.text, "rules": list(part.rules), "example": part.example.kubectl()}


def held_data(one: Held) -> dict[str, Any]:
    """Return a capability as JSON takes it, with what proves it."""
    return {
        "id": one.id,
        "title": one.title,
        "category": one.capability.category.value,
        "base": one.base,
        "techniques": list(one.capability.techniques),
        "reason": one.capability.reason,
        "note": one.note,
        "names": list(one.names),
        "proofs": [
            {"rule": proof.index, "request": str(proof.request), "kubectl": proof.kubectl()} for proof in one.proofs
        ],
    }


def net_new_data(one: NetNew) -> dict[str, Any]:
    """Return what a holder gains as JSON takes it."""
    return {
        "subject": str(one.subject),
        "scope": one.scope,
        "binding": str(one.holder.binding),
        "through": [ref.name for ref in one.holder.through],
        "new": [held.title for held in one.new],
        "gains": [part_data(part) for part in one.gains],
        "had_nothing": one.had_nothing,
    }


def matrix_data(table: Matrix) -> dict[str, Any]:
    """Return a table of permissions as JSON takes it: cells by column, only those that say something."""
    return {
        "actions": table.actions,
        "future": table.open,
        "rows": [
            {
                "kind": row.kind.value,
                "group": row.group,
                "resources": list(row.resources),
                "cells": {
                    column: {"change": cell.change.value, "manner": cell.manner.value}
                    | ({"names": list(cell.names)} if cell.names else {})
                    | ({"verbs": list(cell.verbs)} if cell.verbs else {})
                    for column, cell in zip(table.columns, row.cells, strict=True)
                    if cell is not None
                },
            }
            for row in (*table.rows, *table.rest)
        ],
    }
