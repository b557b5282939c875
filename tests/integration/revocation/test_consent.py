"""Who may have a plan run, which plan, and with what said."""

import pytest
from django.contrib.auth.models import User

from alerts import lifecycle
from alerts.models import Alert, Revocation
from alerts.services import revocation, workflow
from tests.integration.revocation.conftest import (
    ROLE,
    Scene,
    ask,
    later,
)

State = Revocation.State


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"reason": "  "}, "Say in a sentence why"),
        ({"digest": "0" * 64}, "The plan changed"),
    ],
)
def test_a_request_that_does_not_fit_is_refused(
    alert: Alert, rex: User, changes: dict[str, str], sentence: str
) -> None:
    planned = revocation.plan(alert)
    with pytest.raises(revocation.RequestRefused, match=sentence):
        ask(planned, rex, **changes)
    planned.refresh_from_db()
    assert planned.state == State.PLANNED


def test_only_those_who_may_revoke_can_ask_or_call_off(alert: Alert, rex: User, ana: User) -> None:
    planned = revocation.plan(alert)
    with pytest.raises(revocation.RequestRefused, match="group Responder"):
        ask(planned, ana)
    scheduled = ask(planned, rex)
    with pytest.raises(revocation.RequestRefused, match="group Responder"):
        revocation.call_off(scheduled, by=ana)


def test_who_asks_for_a_revoke_has_begun_with_the_alert(alert: Alert, rex: User) -> None:
    ask(revocation.plan(alert), rex)
    alert.refresh_from_db()
    assert alert.status == lifecycle.Status.IN_PROGRESS


def test_an_old_plan_is_not_run(alert: Alert, rex: User) -> None:
    planned = revocation.plan(alert)
    with later(minutes=11), pytest.raises(revocation.Outdated, match="ten minutes old"):
        ask(planned, rex)


def test_a_plan_with_other_warnings_is_another_plan(alert: Alert, scene: Scene, rex: User) -> None:
    seen = revocation.plan(alert)
    scene.touch(ROLE, **{"app.kubernetes.io/managed-by": "Helm"})
    newer = revocation.plan(alert)
    with pytest.raises(revocation.Outdated):
        ask(newer, rex, digest=seen.digest)


def test_a_closed_alert_is_reopened_first(alert: Alert, rex: User) -> None:
    planned = revocation.plan(alert)
    workflow.close(alert, lifecycle.Verdict.FALSE_POSITIVE, by=rex, version=alert.version, reason="A drill")
    with pytest.raises(revocation.RequestRefused, match="closed"):
        ask(planned, rex)
