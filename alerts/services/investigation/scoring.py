"""A score with every factor that made it, as the alert keeps it."""

from dataclasses import dataclass, replace
from typing import Any

from alerts import rbac


@dataclass(frozen=True)
class Risk:
    """A score with its severity and every factor; `assessment` is None where the rules are unknown."""

    score: int
    severity: rbac.Severity
    factors: tuple[tuple[str, str], ...]
    assessment: rbac.Assessment | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return {"score": self.score, "severity": self.severity.value, "factors": [list(pair) for pair in self.factors]}

    def times(self, factor: float, label: str) -> "Risk":
        """Return it with one more factor."""
        return self._with(round(self.score * factor), (label, f"× {factor}"))

    def plus(self, points: int, label: str) -> "Risk":
        """Return it with points on top."""
        return self._with(self.score + points, (label, f"+ {points}"))

    def at_least(self, floor: int, label: str) -> "Risk":
        """Return it with a floor under it."""
        return self._with(max(self.score, floor), (label, f"at least {floor}"))

    def _with(self, score: int, factor: tuple[str, str]) -> "Risk":
        whole = min(100, score)
        return replace(self, score=whole, severity=rbac.Severity.of(whole), factors=(*self.factors, factor))
