"""The views of the queue that stand above it: those everybody has, and those that people keep under a name."""

from dataclasses import dataclass

from django.contrib.auth.models import User
from django.db.models import Q

from alerts.audit.visible import visible
from alerts.models import SavedView
from alerts.services.queue import OVERDUE, Filter

LONGEST_NAME = 40
_BUILT_IN = {
    "My queue": Filter(),
    "Mine": Filter(owner="mine"),
    "Unassigned": Filter(owner="unassigned"),
    "Overdue": OVERDUE,
    "Closed": Filter(status="closed", owner="any"),
}


class ViewRefused(Exception):
    """A view that cannot be kept; its text is the sentence people see."""


@dataclass(frozen=True, slots=True)
class View:
    """A view as the queue offers it; `saved` is its row where it is the reader's own, to be removed."""

    name: str
    address: str
    current: bool
    saved: SavedView | None = None


def offered(current: Filter, *, to: User) -> list[View]:
    """Return the views that a person may choose, the built-in ones first."""
    built_in = [View(name, each.but(), each == current) for name, each in _BUILT_IN.items()]
    kept = SavedView.objects.filter(Q(owner=to) | Q(shared=True)).select_related("owner")
    return built_in + [
        View(
            name=view.name if view.owner_id == to.pk else f"{view.name} ({view.owner.username})",
            address=f"?{view.query}",
            current=view.query == current.query(),
            saved=view if view.owner_id == to.pk else None,
        )
        for view in kept
    ]


def save(view: Filter, name: str, *, shared: bool, by: User) -> SavedView:
    """Keep a view under a name; one of the same name is replaced.

    Raises ViewRefused for a name that is empty, too long or built in.
    """
    name = visible(" ".join(name.split()))
    if not name or len(name) > LONGEST_NAME:
        raise ViewRefused(f"Give the view a name of at most {LONGEST_NAME} characters.")
    if name in _BUILT_IN:
        raise ViewRefused(f"{name} is there already. Give the view another name.")
    kept, _ = SavedView.objects.update_or_create(
        owner=by, name=name, defaults={"query": view.query(), "shared": shared}
    )
    return kept


def remove(view: SavedView, *, by: User) -> None:
    """Remove one's own view.

    Raises ViewRefused for somebody else's.
    """
    if view.owner_id != by.pk:
        raise ViewRefused("Only its owner may remove a view.")
    view.delete()
