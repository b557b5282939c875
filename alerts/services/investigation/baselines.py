"""What a role is held against: the role before, the closest default role, and its most similar peers on the cluster."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from alerts import rbac
from alerts.services.investigation.case import Case

_PARTS = 8
_PEERS = 3
_LEVELS = {
    rbac.Verdict.NEW_ACCESS: "critical",
    rbac.Verdict.MIXED: "high",
    rbac.Verdict.UNKNOWN: "medium",
    rbac.Verdict.NARROWED: "good",
    rbac.Verdict.EQUIVALENT: "good",
}


class Baselines:
    """The baselines of a role's rules, and how the rules stand to each."""

    def __init__(self, case: Case, rules: rbac.RuleSet) -> None:
        self.case = case
        self.rules = rules

    @cached_property
    def before(self) -> rbac.RuleSet | None:
        """The rules of the newest earlier role of that name, the same object or another; None where none was seen."""
        return self.case.role_before.rules if self.case.role_before else None

    @cached_property
    def others(self) -> dict[str, rbac.RuleSet]:
        """The cluster's other ClusterRoles by name, Kubernetes' own aside."""
        defaults = rbac.default_roles()
        return {
            role.ref.name: self.case.now.rules(ref)
            for ref, role in self.case.now.roles.items()
            if ref.kind == "ClusterRole" and ref != self.case.ref and not role.default and ref.name not in defaults
        }

    @cached_property
    def peers(self) -> tuple[rbac.Peer[str], ...]:
        """Those of them that are most like it."""
        return rbac.similar(self.rules, self.others, limit=_PEERS)

    @cached_property
    def default(self) -> rbac.Peer[str] | None:
        """The default role that is most like it."""
        found = rbac.similar(self.rules, {name: role.rules for name, role in rbac.default_roles().items()}, limit=1)
        return found[0] if found else None

    @cached_property
    def fit(self) -> rbac.Fit | None:
        """The smallest default role that holds all of it."""
        return rbac.smallest_default(self.rules)

    def evidence(self) -> dict[str, Any]:
        """Return how the rules stand to every baseline, as plain JSON."""
        return {
            "verdicts": list(self._verdicts()),
            "matrix_title": self._title(),
            "peers": [_peer(peer) for peer in self.peers],
            "fit": {"name": self.fit.name, "used": _percent(self.fit.used)} if self.fit else {},
            "rare": list(rbac.rare(self.rules, self.others)) if self.others else [],
        }

    def _verdicts(self) -> Iterator[dict[str, Any]]:
        if self.case.binding is None and self.case.identity is None:
            known = self.before is not None
            seen = "there was one of this name before" if known else "no role of this name was seen before"
            yield _verdict("the role before", "", rbac.compare(self.before, self.rules), seen)
        if self.default is not None:
            likeness = f"the closest default role, {_percent(self.default.similarity)} alike"
            yield _verdict("default role", self.default.key, self.default.comparison, likeness)
        for peer in self.peers[:1]:
            likeness = f"the most similar role here, {_percent(peer.similarity)} alike"
            yield _verdict("peer", peer.key, peer.comparison, likeness)

    def _title(self) -> str:
        parts = []
        if self.default is not None:
            parts.append(f"closest default role: {self.default.key}, {_percent(self.default.similarity)}")
        if self.peers:
            parts.append(f"closest peer: {self.peers[0].key}, {_percent(self.peers[0].similarity)}")
        return " · ".join(parts)


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def _verdict(against: str, name: str, comparison: rbac.Comparison, note: str) -> dict[str, Any]:
    gains = comparison.gains
    return {
        "against": against,
        "name": name,
        "verdict": comparison.verdict.value,
        "level": _LEVELS[comparison.verdict],
        "note": note,
        "example": str(gains[0].example) if gains and name else "",
        "cut_off": comparison.cut_off,
    }


def _peer(peer: rbac.Peer[str]) -> dict[str, Any]:
    return {
        "name": peer.key,
        "similarity": _percent(peer.similarity),
        "contained": _percent(peer.contained),
        "only_here": [part.text for part in peer.only_here[:_PARTS]],
        "more_here": max(0, len(peer.only_here) - _PARTS),
        "only_there": [part.text for part in peer.only_there[:_PARTS]],
        "more_there": max(0, len(peer.only_there) - _PARTS),
    }
