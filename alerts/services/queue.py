"""The analyst's queue: which alerts, in which order, from what stands in the address."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Self
from urllib.parse import urlencode

from django.contrib.auth.models import User
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone

from alerts import lifecycle
from alerts.models import Activity, Alert, Watch
from alerts.services import folding

STATUSES = {
    "open": "Open",
    "overdue": "Overdue",
    **{str(status): label for status, label in lifecycle.LABELS.items()},
    "any": "Any status",
}
OWNERS = {
    "mine_or_unassigned": "Mine or unassigned",
    "mine": "Mine",
    "unassigned": "Unassigned",
    "any": "Anybody’s",
}
MUTED = {"hidden": "Without muted", "any": "Muted too", "only": "Muted only"}
_RETURNED = Exists(Watch.objects.filter(alert=OuterRef("pk"), tripped_at__isnull=False))
# Kinds of activity by which an alert is in the queue again, or at another place
_BACK = ("reopened", "tripped", "unmuted")
# The alert of a created role tells the whole story: who bound it, and what was done with it.
_ROLES_FIRST = Case(When(detection="cluster_role_created", then=Value(0)), default=Value(1))


@dataclass(frozen=True, slots=True)
class Filter:
    """What to show. Its fields are the query string's; whatever is not there has the default."""

    status: str = "open"
    owner: str = "mine_or_unassigned"
    severity: str = ""
    cluster: str = ""
    actor: str = ""
    search: str = ""
    muted: str = "hidden"
    rollout: str = ""

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
        if given.get("muted", "hidden") not in MUTED:
            del given["muted"]
        if not _is_key(given.get("rollout", "0")):
            del given["rollout"]
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
        """Return the alerts it lets through: the worst first, of equals those of created roles, and then the newest."""
        found = _in_status(self.status).select_related("cluster", "assignee", "object")
        if self.owner != "any":
            mine, nobodys = Q(assignee=seen_by), Q(assignee=None)
            found = found.filter({"mine": mine, "unassigned": nobodys}.get(self.owner, mine | nobodys))
        if self.severity:
            found = found.filter(severity=self.severity)
        if self.cluster:
            found = found.filter(cluster__name=self.cluster)
        if self.actor:
            found = found.filter(actor=self.actor)
        if self.rollout:
            found = found.filter(pk__in=_rollout_of(int(self.rollout)))
        for word in self.search.split():
            number = word.upper().removeprefix("RC-")
            by_number = Q(pk=int(number)) if _is_key(number) else Q()
            found = found.filter(Q(title__icontains=word) | Q(actor__icontains=word) | by_number)
        if self.muted != "any":
            # Nobody muted that it comes back.
            shown = Q(muted_by=None) | Q(_RETURNED)
            found = found.exclude(shown) if self.muted == "only" else found.filter(shown)
        # What came back after somebody believed it was over goes first.
        return found.annotate(returned=_RETURNED).order_by("-returned", "-score", _ROLES_FIRST, "-happened_at", "-pk")

    def news(self, since: int, *, seen_by: User) -> tuple[int, int]:
        """Return how many of its alerts opened, and how many came back, by activities later than one's key.

        History is no news when it opens, and neither is what somebody reopened themselves.
        """
        later = Activity.objects.filter(pk__gt=since).exclude(by=seen_by)
        opened, back = later.filter(kind="opened").values("alert"), later.filter(kind__in=_BACK).values("alert")
        shown = self.alerts(seen_by=seen_by)
        new = shown.filter(pk__in=opened, historical=False)
        return new.count(), shown.filter(pk__in=back).exclude(pk__in=opened).count()

    def rows(self, *, seen_by: User) -> list[list[int]]:
        """Return the rows of its list as keys of alerts: a rollout is one, its worst alert first.

        What may be grave is a row of its own: a Critical alert, one that came back, and one not examined yet. A rollout
        that was asked for is not folded. Of one row, all have the same status, verdict, assignee and mute.
        """
        columns = ("pk", "rollout_key", "release", "happened_at", "severity", "returned", "evidence_at")
        alike = ("status", "verdict", "assignee_id", "muted_by_id", "cluster_id")
        found = self.alerts(seen_by=seen_by).values_list(*columns, *alike)
        return folding.fold(
            [
                folding.Member(
                    key=pk,
                    rollout_key=rollout_key,
                    release=release,
                    at=at,
                    apart=bool(self.rollout) or severity == Alert.Severity.CRITICAL or returned or examined is None,
                    alike=tuple(same),
                )
                for pk, rollout_key, release, at, severity, returned, examined, *same in found
            ]
        )

    def muted_count(self, *, seen_by: User) -> int:
        """Return how many alerts it leaves out because they are muted."""
        return replace(self, muted="only").alerts(seen_by=seen_by).count() if self.muted == "hidden" else 0

    def chips(self) -> list[tuple[str, str]]:
        """Return what is filtered by, in words, each with the query string that lifts it."""
        chips = []
        if self.status != "any":
            chips.append((STATUSES[self.status], self.but(status="any")))
        if self.owner != "any":
            chips.append((OWNERS[self.owner], self.but(owner="any")))
        if self.severity:
            chips.append((Alert.Severity(self.severity).label, self.but(severity="")))
        if self.muted != "hidden":
            chips.append((MUTED[self.muted], self.but(muted="hidden")))
        if self.rollout:
            chips.append((f"Rollout of RC-{self.rollout}", self.but(rollout="")))
        chips += [
            (f"{name.capitalize()}: {value}", self.but(**{name: ""}))
            for name in ("cluster", "actor", "search")
            if (value := getattr(self, name))
        ]
        return chips


OVERDUE = Filter(status="overdue", owner="any")


def _in_status(status: str) -> QuerySet[Alert]:
    if status == "open":
        return Alert.objects.open()
    if status == "overdue":
        return Alert.objects.filter(status=lifecycle.Status.NEW, respond_by__lt=timezone.now())
    return Alert.objects.all() if status == "any" else Alert.objects.filter(status=status)


def _is_key(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 18


def _rollout_of(key: int) -> list[int]:
    """Return the keys of everything that was rolled out with an alert, itself included, in whatever state it is."""
    alert = Alert.objects.filter(pk=key).first()
    if alert is None or not alert.rollout_key:
        return [key]
    related = Alert.objects.filter(cluster=alert.cluster_id, rollout_key=alert.rollout_key)
    members = [
        folding.Member(pk, alert.rollout_key, release, at)
        for pk, release, at in related.values_list("pk", "release", "happened_at")
    ]
    rollout = next(each for each in folding.rollouts(members) if any(member.key == key for member in each))
    return [member.key for member in rollout]


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the queue: the alert it shows, and those folded under it."""

    alert: Alert
    folded: list[Alert]

    @property
    def keys(self) -> str:
        """The keys of all its alerts with the versions that are seen, as a form sends them."""
        return ",".join(f"{each.pk}.{each.version}" for each in (self.alert, *self.folded))

    @property
    def release(self) -> str:
        """What they were released with, or ""."""
        return next((each.release for each in (self.alert, *self.folded) if each.release), "")


def loaded(rows: Sequence[Sequence[int]]) -> list[Row]:
    """Return rows with their alerts; one that vanished since is left out."""
    keys = [key for row in rows for key in row]
    related = Alert.objects.select_related("cluster", "assignee", "object", "muted_by", "known_actor")
    found = related.annotate(returned=_RETURNED).in_bulk(keys)
    alerts = ([found[key] for key in row if key in found] for row in rows)
    return [Row(first, rest) for first, *rest in filter(None, alerts)]


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
