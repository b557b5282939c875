"""Question 2: what it permits, what of that is new, and who gains it."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import yaml

from alerts import rbac
from alerts.audit.visible import visible
from alerts.services.investigation import identities, risk
from alerts.services.investigation.acts import request_of
from alerts.services.investigation.baselines import Baselines
from alerts.services.investigation.case import Case
from alerts.services.investigation.scoring import Risk

_PARTS = 8
_WORDS = 3
_CAPABILITIES = 12
_GAINERS = 20
_INERT = 40
_TEXT = 40_000
_TITLE = 500
UNRECORDED = "What it permits is unknown: its rules were not recorded, nor could they be read from the cluster."
NEVER_LISTED = "What it may do is unknown: the cluster’s roles and bindings were never listed."
NEVER_KNOWN = "What it would have permitted was not recorded."


class Permissions:
    """What the role of a case permits, worked out once for the page, the score and the story."""

    def __init__(self, case: Case) -> None:
        self.case = case

    @cached_property
    def rules(self) -> rbac.RuleSet | None:
        """The role's rules, aggregation included; None where they are unknown."""
        role, ref = self.case.role, self.case.ref
        if self.case.identity is not None:
            return identities.rules_of(self.case, self.case.identity)
        if role is None:
            # A binding to a role that does not exist gives nothing, so far.
            return rbac.RuleSet() if self.case.binding is not None and self.case.listed else None
        return role.rules if self.case.alert.attempted or ref is None else self.case.access.rules(ref)

    @cached_property
    def risk(self) -> Risk:
        """How bad it is."""
        return risk.of(self.case, self.rules)

    @cached_property
    def baselines(self) -> Baselines:
        """What it is held against."""
        return Baselines(self.case, self.rules or rbac.RuleSet())

    @property
    def gained(self) -> tuple[rbac.NetNew, ...]:
        """What each holder gains, the gravest first."""
        return self.risk.assessment.net_new if self.risk.assessment else ()

    def evidence(self) -> dict[str, Any]:
        """Return the evidence for the step, as plain JSON."""
        shared = {"score": self.risk.as_json(), "known": self.rules is not None}
        shared["identity"] = str(self.case.identity.subject) if self.case.identity else ""
        if self.rules is None:
            unknown = NEVER_KNOWN if self.case.alert.attempted else UNRECORDED
            unknown = NEVER_LISTED if self.case.identity else unknown
            return shared | {"summary": unknown, "chips": [["medium", "Unknown"]], "unknown": unknown}
        return (
            shared
            | self.baselines.evidence()
            | {
                "summary": self._summary(),
                "chips": self._chips(),
                "capabilities": [_capability(held) for held in self.capabilities[:_CAPABILITIES]],
                "more_capabilities": max(0, len(self.capabilities) - _CAPABILITIES),
                "conditions": [{"title": held.title, "note": held.note} for held in self._conditions],
                "matrix": self._matrix(),
                "gainers": [self._gainer(one) for one in self.gained[:_GAINERS]],
                "more_gainers": max(0, len(self.gained) - _GAINERS),
                "feeds": [ref.name for ref in self._feeds],
                "inert": [str(one) for one in rbac.inert(self.rules)[:_INERT]],
                "least": self._least(),
                "yaml": _yaml(self.case.manifest),
            }
        )

    @property
    def capabilities(self) -> tuple[rbac.Held, ...]:
        """The dangerous things it permits, worst first."""
        return self.risk.assessment.capabilities if self.risk.assessment else ()

    @property
    def _conditions(self) -> tuple[rbac.Held, ...]:
        return self.risk.assessment.conditions if self.risk.assessment else ()

    @property
    def _feeds(self) -> tuple[rbac.RoleRef, ...]:
        ref = self.case.ref
        bound = self.case.binding is not None
        return tuple(self.case.access.aggregates(ref)) if ref and not bound and not self.case.alert.attempted else ()

    def _summary(self) -> str:
        worst = (
            f": {self.capabilities[0].title}" if self.capabilities else " nothing on the list of dangerous capabilities"
        )
        if self.case.identity is not None:
            return f"{self.case.identity.subject} may do{worst if self.rules else ' nothing'}."
        if not self.rules:
            return "It permits nothing."
        if self.case.alert.attempted:
            return f"It would have permitted{worst}."
        if not self.gained:
            fit = self.baselines.fit
            inside = f" All of it fits inside {fit.name}." if fit and fit.name != "cluster-admin" else ""
            return f"Nobody is bound to it yet. It permits{worst}.{inside}"
        new = [one for one in self.gained if one.gains or one.cut_off]
        if not new:
            return f"No new access: everybody bound to it could do all of it before. It permits{worst}."
        known = "" if self.case.listed else ", as far as the cluster’s bindings are known"
        count = f"{len(new)} subject{'' if len(new) == 1 else 's'}"
        return f"New access for {count}{_openness(new)}{known}. It permits{worst}."

    def _chips(self) -> list[list[str]]:
        level = self.risk.severity.value
        if self.case.alert.attempted:
            return [["medium", "Refused"]]
        if self.case.identity is not None:
            return [[level if level != "low" else "", f"Power of {self.case.identity.subject.kind}"]]
        if not self.gained:
            return [[level if level != "low" else "good", "Bound to nobody"]]
        if any(one.gains or one.cut_off for one in self.gained):
            return [["" if level == "low" else level, "New access"]]
        return [["good", "No new access"]]

    def _matrix(self) -> dict[str, Any]:
        """Return the table of what it permits, with what its gravest holder did not have before marked as gained."""
        rules = self.rules or rbac.RuleSet()
        had = None if self.case.identity else self._held_before()
        table = rbac.matrix(rules, had)
        return {
            "columns": list(table.columns),
            "rows": [row for each in table.rows if (row := _row(each))],
            "hidden": sum(1 for each in table.rest if _row(each)),
            "open": table.open,
        }

    def _held_before(self) -> rbac.RuleSet | None:
        if not self.gained or self.case.ref is None:
            return None
        gravest = self.gained[0]
        if self.case.binding is not None:
            return self.case.access.without(self.case.binding).effective(gravest.subject, gravest.scope).rules
        return self.case.access.without(self.case.ref).effective(gravest.subject, gravest.scope).rules

    def _gainer(self, one: rbac.NetNew) -> dict[str, Any]:
        own = [
            binding
            for binding in self.case.access.bindings
            if one.subject in binding.subjects and binding.role != self.case.ref
        ]
        return {
            "who": str(one.subject),
            "public": one.subject.public,
            "everybody": one.subject.everybody,
            "scope": one.scope,
            "binding": str(one.holder.binding),
            "through": [ref.name for ref in one.holder.through],
            "new": [held.title for held in one.new[:_PARTS]],
            "more_new": max(0, len(one.new) - _PARTS),
            "gains": [part.text for part in one.gains[:_PARTS]],
            "more_gains": max(0, len(one.gains) - _PARTS),
            "note": one.cut_off,
            "before": self._before(one, own),
            "seen": self._members(one.subject),
        }

    def _before(self, one: rbac.NetNew, own: Sequence[rbac.Binding]) -> str:
        if own:
            return "" if one.gains or one.cut_off else "It could do all of this before."
        if not self.case.listed:
            return "What else it may do is unknown: the cluster’s bindings were never listed."
        if one.had_nothing:
            return "It could do nothing before."
        return "It could do nothing before but what everybody may."

    def _members(self, subject: rbac.Subject) -> list[str]:
        """Return who was seen as a member of a group; Kubernetes keeps no list of them."""
        if subject.kind != "Group":
            return []
        people = (event.impersonated_user or event.user for event in self.case.since.events)
        return sorted({person.username for person in people if subject.name in (person.groups or ())})[:_PARTS]

    def _least(self) -> dict[str, Any]:
        """Return the smallest role that would have done for what it was used for."""
        used = [request_of(event) for event in self.case.through if event.succeeded]
        if not used or self.case.ref is None:
            return {}
        return {"requests": len(set(used)), "yaml": _visible(rbac.least_yaml(used, self.case.ref.name))}


def _openness(gained: list[rbac.NetNew]) -> str:
    """Say so where anybody or everybody is among who gains: that alone makes harmless rights grave."""
    if any(one.subject.public for one in gained):
        return ", anybody without log-in among them"
    return ", everybody who can log in among them" if any(one.subject.everybody for one in gained) else ""


def _capability(held: rbac.Held) -> dict[str, Any]:
    return {
        "title": held.title,
        "level": rbac.Severity.of(held.base).value,
        "reason": held.capability.reason,
        "techniques": list(held.capability.techniques),
        "proofs": [
            {
                "rule": proof.index + 1,
                "text": _flow(proof.rule.manifest())[:_TITLE],
                "request": str(proof.request),
                "command": proof.kubectl(),
            }
            for proof in held.proofs[:3]
        ],
    }


def _row(row: Any) -> dict[str, Any] | None:
    """Return a row as JSON without what only the baseline has, or None where nothing else is in it."""
    cells = [
        None
        if cell is None or cell.change == "lost"
        else {
            "change": cell.change.value,
            "manner": cell.manner.value,
            "symbol": f"{cell.symbol} {_few(cell.verbs)}" if cell.verbs else cell.symbol,
            "title": cell.title,
        }
        for cell in row.cells
    ]
    if not any(cells):
        return None
    return {"label": row.label, "title": ", ".join(row.resources)[:_TITLE], "note": row.note, "cells": cells}


def _few(words: Sequence[str]) -> str:
    shown = ", ".join(words[:_WORDS])
    return f"{shown} and {len(words) - _WORDS} more" if len(words) > _WORDS else shown


def _flow(value: Any) -> str:
    return str(
        yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    ).strip()


def _yaml(manifest: Any) -> str:
    return _visible(str(yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True)))


def _visible(text: str) -> str:
    """Return lines in which nothing invisible is left; what is too long for a page is cut and says so."""
    rest = f"\n# … and {len(text) - _TEXT:,} more characters" if len(text) > _TEXT else ""
    return "\n".join(map(visible, text[:_TEXT].split("\n"))) + rest
