"""The analyst's queue: which alerts, in which order, from what stands in the address."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, Q, QuerySet

from alerts import lifecycle
from alerts.models import Alert, Watch

STATUSES = {"open": "Open", **{str(status): label for status, label in lifecycle.LABELS.items()}, "any": "Any status"}
OWNERS = {
    "mine_or_unassigned": "Mine or unassigned",
    "mine": "Mine",
    "unassigned": "Unassigned",
    "any": "Anybody’s",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """What to show. Its fields are the query string's; whatever is not there has the default."""

    status: str = "open"
    owner: str = "mine_or_unassigned"
    severity: str = ""
    cluster: str = ""
    actor: str = ""
    search: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Self:
        """Read a filter from a query string; what makes no sense there counts as not said."""
        given = {field.name: query[field.name] for field in fields(cls) if field.name in query}
        if given.get("status", "open") not in STATUSES:
            del given["status"]
        if given.get("owner", "any") not in OWNERS:
            del given["owner"]
        if given.get("severity", "") not in Alert.Severity.values:
            given.pop("severity", None)
        return cls(**given)

    def query(self) -> str:
        """Return the query string that says this filter, without what is the default."""
        default = type(self)()
        said = {field.name: getattr(self, field.name) for field in fields(self)}
        return urlencode({name: value for name, value in said.items() if value != getattr(default, name)})

    def but(self, **changes: str) -> str:
        """Return the query string of this filter with something else in it, ready for an address."""
        return "?" + replace(self, **changes).query()

    def alerts(self, *, seen_by: User) -> QuerySet[Alert]:
        """Return the alerts it lets through: the worst first, and of equals the newest."""
        found = Alert.objects.select_related("cluster", "assignee", "object")
        if self.status == "open":
            found = found.exclude(status=lifecycle.Status.CLOSED)
        elif self.status != "any":
            found = found.filter(status=self.status)
        if self.owner != "any":
            mine, nobodys = Q(assignee=seen_by), Q(assignee=None)
            found = found.filter({"mine": mine, "unassigned": nobodys}.get(self.owner, mine | nobodys))
        if self.severity:
            found = found.filter(severity=self.severity)
        if self.cluster:
            found = found.filter(cluster__name=self.cluster)
        if self.actor:
            found = found.filter(actor=self.actor)
        for word in self.search.split():
            number = word.upper().removeprefix("RC-")
            by_number = Q(pk=int(number)) if number.isascii() and number.isdigit() and len(number) < 18 else Q()
            found = found.filter(Q(title__icontains=word) | Q(actor__icontains=word) | by_number)
        # What came back after somebody believed it was over goes first.
        returned = Exists(Watch.objects.filter(alert=OuterRef("pk"), tripped_at__isnull=False))
        return found.annotate(returned=returned).order_by("-returned", "-score", "-happened_at", "-pk")

    def chips(self) -> list[tuple[str, str]]:
        """Return what is filtered by, in words, each with the query string that lifts it."""
        chips = []
        if self.status != "any":
            chips.append((STATUSES[self.status], self.but(status="any")))
        if self.owner != "any":
            chips.append((OWNERS[self.owner], self.but(owner="any")))
        if self.severity:
            chips.append((Alert.Severity(self.severity).label, self.but(severity="")))
        chips += [
            (f"{name.capitalize()}: {value}", self.but(**{name: ""}))
            for name in ("cluster", "actor", "search")
            if (value := getattr(self, name))
        ]
        return chips


@dataclass(frozen=True, slots=True)
class Place:
    """Where an alert stands in a view: its number in the row, and its neighbours' keys."""

    number: int
    count: int
    previous: int | None
    next: int | None


def place(alert: Alert, view: Filter, *, seen_by: User) -> Place | None:
    """Return where the alert stands in a view, or None where the view does not hold it."""
    keys = list(view.alerts(seen_by=seen_by).values_list("pk", flat=True))
    if alert.pk not in keys:
        return None
    at = keys.index(alert.pk)
    return Place(
        number=at + 1,
        count=len(keys),
        previous=keys[at - 1] if at else None,
        next=keys[at + 1] if at + 1 < len(keys) else None,
    )
