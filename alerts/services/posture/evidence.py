"""The findings as evidence for the step, and as groups for a page."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from alerts.models import Alert, Cluster, PostureFinding
from alerts.models.posture import PostureFindingQuerySet

_LEVELS = ["critical", "high", "medium", "low"]
_ORDER = list(PostureFinding.Kind)
_LINES = 12
# Of one kind a page shows so many; the count says how many there are.
SHOWN = 100


@dataclass(frozen=True, slots=True)
class Group:
    """The findings of one kind, the gravest first."""

    kind: PostureFinding.Kind
    level: str
    count: int
    findings: list[PostureFinding]

    @property
    def left_out(self) -> int:
        """How many a page does not show."""
        return max(0, self.count - SHOWN)


def of(alert: Alert) -> dict[str, Any]:
    """Return the evidence for the step, as plain JSON: what is open, and what was not evaluated."""
    rows = concerning(alert)
    groups = grouped(rows.open())
    accepted = rows.accepted().count()
    found = [_as_json(group) for group in groups]
    gaps = gaps_of(alert.cluster)
    soft = [{"key": "gap", "level": "soft", "title": gap, "detail": "", "lines": [], "left_out": 0} for gap in gaps]
    return {
        "summary": _summary(groups, accepted) + (" Not everything could be evaluated." if gaps else ""),
        "chips": [["critical", "Open to anybody"]] if groups and groups[0].level == "critical" else [],
        "findings": [*found, *soft],
    }


def concerning(alert: Alert) -> PostureFindingQuerySet:
    """Return the findings of an alert's own role and those of its cluster, history included."""
    of_cluster = PostureFinding.objects.filter(cluster=alert.cluster, alert=None)
    return of_cluster | PostureFinding.objects.filter(cluster=alert.cluster, alert=alert)


def grouped(findings: Iterable[PostureFinding]) -> list[Group]:
    """Return findings by kind, the gravest kinds first."""
    by_kind: dict[PostureFinding.Kind, list[PostureFinding]] = {}
    for each in findings:
        by_kind.setdefault(PostureFinding.Kind(each.kind), []).append(each)
    groups = [_group(kind, rows) for kind, rows in by_kind.items()]
    return sorted(groups, key=lambda group: (_LEVELS.index(group.level), _ORDER.index(group.kind)))


def _group(kind: PostureFinding.Kind, rows: list[PostureFinding]) -> Group:
    ordered = sorted(rows, key=lambda row: (_LEVELS.index(row.level), "kube-system" in row.title, row.title, row.pk))
    return Group(kind, ordered[0].level, len(rows), ordered[:SHOWN])


def gaps_of(cluster: Cluster) -> list[str]:
    """Return what the newest look could not evaluate, in sentences."""
    newest = cluster.posture_reviews.first()
    return [str(gap) for gap in newest.gaps] if newest else ["The cluster’s posture was not looked at yet."]


def _as_json(group: Group) -> dict[str, Any]:
    return {
        "key": group.kind.value,
        "level": group.level,
        "title": f"{group.kind.label}: {group.count}",
        "detail": "",
        "lines": [_line(each) for each in group.findings[:_LINES]],
        "left_out": max(0, group.count - _LINES),
    }


def _line(finding: PostureFinding) -> str:
    return f"{finding.title}, {finding.detail}" if finding.detail else finding.title


def _summary(groups: list[Group], accepted: int) -> str:
    count = sum(group.count for group in groups)
    besides = f"; {accepted} accepted" if accepted else ""
    if not count:
        return f"No open findings{besides}."
    worst = groups[0].kind.label
    return f"{count} open finding{'' if count == 1 else 's'}{besides}; the gravest: {worst[:1].lower()}{worst[1:]}."
