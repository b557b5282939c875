"""What people do while an investigation saves what it found: they wait for it, and it never waits for them."""

import contextlib
import threading
import time
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import transaction

from alerts.models import Alert, Cluster, Mute, PostureFinding, RemedyItem
from alerts.services import mutes, posture, remedies
from alerts.services.posture import decisions
from tests.factories import make_alert, make_finding
from tests.integration.conftest import Parallel
from tests.integration.test_mutes import CERTKEEPER, begin
from tests.integration.test_remedies import found

type Deed = Callable[[], object]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ana(transactional_db: None) -> User:
    return User.objects.create_user("ana")


@pytest.fixture
def alert(transactional_db: None) -> Alert:
    return make_alert(Cluster.objects.create(name="prod-eu"))


@pytest.fixture
def while_saving(parallel: Parallel, alert: Alert) -> Callable[[Deed, Deed], None]:
    """Do something while an investigation holds the alert, before the last of what it saves."""

    def run(saved: Deed, deed: Deed) -> None:
        held, turns = threading.Event(), [True, False]

        def work() -> None:
            if turns.pop():
                held.wait(10)
                deed()
                return
            with transaction.atomic():
                Alert.objects.select_for_update().get(pk=alert.pk)
                held.set()
                time.sleep(0.5)
                saved()

        parallel(work, 2)

    return run


def test_ticking_off_what_was_left_behind(while_saving: Callable[[Deed, Deed], None], alert: Alert, ana: User) -> None:
    remedies.record(alert, [found("DaemonSet x", "there")])
    item = RemedyItem.objects.get()
    while_saving(lambda: remedies.record(alert, [found("DaemonSet x", "gone")]), lambda: remedies.tick(item, by=ana))
    item.refresh_from_db()
    assert (item.state, item.ticked_by) == (RemedyItem.State.GONE, ana)


@pytest.mark.parametrize("of_alert", [False, True], ids=["of the cluster", "of the alert"])
def test_deciding_on_a_finding(
    while_saving: Callable[[Deed, Deed], None], alert: Alert, ana: User, *, of_alert: bool
) -> None:
    finding = make_finding(alert.cluster, alert=alert if of_alert else None)
    fixed, nothing = posture.Look(judged=frozenset({PostureFinding.Kind.ESCALATE})), posture.Look()
    looks = {"look": fixed, "observed": nothing} if of_alert else {"look": nothing, "observed": fixed}
    accepted: list[bool] = []

    def save() -> None:
        posture.record(alert, nothing, observed=nothing)
        time.sleep(0.5)
        posture.record(alert, **looks)

    def accept() -> None:
        time.sleep(0.6)
        with contextlib.suppress(decisions.Refused):
            decisions.accept(finding, by=ana, reason="It is known.")
            accepted.append(True)

    while_saving(save, accept)
    assert PostureFinding.objects.get().closed_at is not None
    assert not accepted


def test_ending_a_mute(while_saving: Callable[[Deed, Deed], None], alert: Alert, ana: User) -> None:
    mute = begin(CERTKEEPER, ana)
    make_alert(alert.cluster, "certkeeper-view", muted_by=mute)
    Alert.objects.filter(pk=alert.pk).update(muted_by=mute)
    other = begin(mutes.Scope(object="ClusterRole x"), ana)

    def saved() -> None:
        Alert.objects.filter(pk=alert.pk).update(muted_by=other)
        Alert.objects.filter(pk=alert.pk).update(muted_by=mute)

    while_saving(saved, lambda: mutes.end(mute, by=ana, bring_back=True))
    assert not Mute.objects.get(pk=mute.pk).is_running()
    assert not Alert.objects.filter(muted_by=mute).exists()
