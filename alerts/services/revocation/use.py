"""What would break: the requests of the last hours that a plan's roles and bindings alone permitted."""

from datetime import timedelta

import msgspec
from django.utils import timezone

from alerts import rbac
from alerts.audit.event import Event
from alerts.audit.visible import storable
from alerts.models import Alert
from alerts.services import evidence
from alerts.services.revocation.losses import Change

HOURS = 24


class Use(msgspec.Struct, kw_only=True):
    """What one holder asked for that would have been refused: how often, when last, and which requests."""

    username: str
    count: int = 0
    last_at: str = ""
    requests: dict[str, int] = {}


class Dependence(msgspec.Struct, frozen=True):
    """Who depended on a plan's roles and bindings, most first; `unread` is how many batches at least were not read."""

    uses: list[Use]
    unread: int


def dependence(alert: Alert, change: Change) -> Dependence:
    """Return what was asked for in the last HOURS that nothing else permits, by who asked.

    A request counts where a role of the plan allowed it and the permissions that will be left, as they stand now, do
    not.
    """
    since = timezone.now() - timedelta(hours=HOURS)
    roles = {*change.roles, *change.feeds(), *(binding.role for binding in change.bindings)}
    search = evidence.search(alert.cluster, roles=roles, since=since)
    left = _Left(change.after)
    found: dict[str, Use] = {}
    for event in evidence.once(search):
        if not left.allows(event):
            _count(found, event)
    uses = sorted(found.values(), key=lambda each: -each.count)
    return Dependence(uses, search.left_out + search.unreadable)


class _Left:
    """What everybody will hold: looked up once for each, since few people ask for much."""

    def __init__(self, after: rbac.Access) -> None:
        self._after = after
        self._held: dict[tuple[str, str, tuple[str, ...]], rbac.Effective] = {}

    def allows(self, event: Event) -> bool:
        person = event.impersonated_user or event.user
        who = person.username, event.namespace, person.groups or ()
        if who not in self._held:
            self._held[who] = self._after.effective(rbac.Subject.of_user(person.username), *who[1:])
        return self._held[who].allowing(_request(event)) is not None


def _request(event: Event) -> rbac.Request:
    if event.object_ref is None:
        return rbac.Request(event.verb, path=event.path)
    return rbac.Request(event.verb, event.group, event.resource, event.subresource, event.name, event.namespace)


def _count(found: dict[str, Use], event: Event) -> None:
    username = storable((event.impersonated_user or event.user).username)
    use = found.setdefault(username, Use(username=username))
    use.count += 1
    use.last_at = max(use.last_at, event.at.isoformat() if event.at else "")
    asked = storable(str(_request(event)))
    use.requests[asked] = use.requests.get(asked, 0) + 1
