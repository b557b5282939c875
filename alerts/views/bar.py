"""What the bar at the top of every page shows."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from alerts.models import Cluster
from alerts.services import stream
from alerts.templatetags.untrusted import age

PAGES = {
    "queue": "Queue",
    "roles": "Roles",
    "mutes": "Mutes",
    "known_actors": "Known actors",
    "stakeholders": "Stakeholders",
    "clusters": "Clusters",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A page of the main navigation."""

    title: str
    address: str
    current: bool


@dataclass(frozen=True, slots=True)
class Health:
    """Whether audit events keep coming, in a few words."""

    good: bool
    text: str


def context(request: HttpRequest) -> dict[str, Any]:
    """Return the navigation and the health of the stream, for people who are logged in."""
    if not getattr(request, "user", None) or not request.user.is_authenticated:
        return {}
    here = request.resolver_match.url_name if request.resolver_match else ""
    pages = PAGES | ({"mailbox": "Mailbox"} if settings.MAILBOX_DIR else {})
    entries = [Entry(title, reverse(f"alerts:{page}"), here == page) for page, title in pages.items()]
    if getattr(request.user, "is_staff", False):
        entries.append(Entry("Administration", reverse("admin:index"), current=False))
    return {"bar": {"pages": entries, "health": health()}}


def health() -> Health:
    """Tell how many clusters there are, when the last batch came from any of them, and which fell silent."""
    known = list(Cluster.objects.values_list("name", "last_batch_at", "silent_since"))
    if not known:
        return Health(good=False, text="no cluster yet")
    clusters = "1 cluster" if len(known) == 1 else f"{len(known)} clusters"
    heard = [at for _, at, _ in known if at]
    if not heard:
        return Health(good=False, text=f"{clusters} · nothing received yet")
    now = timezone.now()
    silent = [(name, at) for name, at, since in known if at and (since or now - at > stream.silence_limit())]
    if len(silent) == 1:
        ((name, at),) = silent
        return Health(good=False, text=f"{clusters} · {name} silent for {age(at)}")
    if silent:
        return Health(good=False, text=f"{clusters} · {len(silent)} of them silent")
    return Health(good=len(heard) == len(known), text=f"{clusters} · last event {age(max(heard))} ago")
