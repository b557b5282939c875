"""A second person, and a recent log-in: what keeps one hijacked session from revoking."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from alerts import tasks
from alerts.models import Activity, Alert, Revocation
from alerts.services import revocation
from tests.conftest import PASSWORD, logged_in, make_user
from tests.integration.revocation.conftest import BINDING, ROLE, Scene, ask, later
from tests.integration.revocation.test_page import address, click, text_of

State = Revocation.State


@pytest.fixture
def roy(db: None) -> User:
    """A second responder."""
    return make_user("roy", "Responder")


@pytest.fixture
def guarded(alert: Alert) -> Alert:
    """The alert, on a cluster where two people are needed."""
    alert.cluster.second_person_required = True
    alert.cluster.save()
    return alert


def test_what_one_person_asks_for_waits_and_another_lets_it_run(
    guarded: Alert, rex: User, roy: User, scene: Scene, no_grace: None
) -> None:
    waiting = ask(revocation.plan(guarded), rex)
    assert (waiting.state, waiting.due_at) == (State.AWAITING, None)
    with later(minutes=5):
        assert revocation.due() == []
        assert revocation.run(waiting).state == State.AWAITING
        with pytest.raises(revocation.RequestRefused, match="Somebody else"):
            revocation.approve(waiting, by=rex, digest=waiting.digest)
        approved = revocation.approve(waiting, by=roy, digest=waiting.digest)
        assert (approved.state, approved.approved_by) == (State.SCHEDULED, roy)
        assert revocation.approve(waiting, by=roy, digest=waiting.digest).state == State.SCHEDULED
        ended = revocation.run(approved)
    assert ended.state == State.DONE
    assert scene.network.sent("DELETE") == [BINDING.path, ROLE.path]
    kinds = list(Activity.objects.filter(alert=guarded).values_list("kind", flat=True))
    assert kinds[:2] == ["revoke_requested", "revoke_approved"]


def test_an_approval_is_of_the_plan_that_was_asked_for(guarded: Alert, rex: User, roy: User, ana: User) -> None:
    waiting = ask(revocation.plan(guarded), rex)
    with pytest.raises(revocation.Outdated, match="not what was asked for"):
        revocation.approve(waiting, by=roy, digest="0" * 64)
    with pytest.raises(revocation.RequestRefused, match="group Responder"):
        revocation.approve(waiting, by=ana, digest=waiting.digest)
    waiting.refresh_from_db()
    assert waiting.state == State.AWAITING


def test_an_old_plan_is_compared_with_the_cluster_before_it_is_approved(
    guarded: Alert, rex: User, roy: User, scene: Scene
) -> None:
    waiting = ask(revocation.plan(guarded), rex)
    scene.bind(ROLE.name, "made-since")
    with later(minutes=12), pytest.raises(revocation.Outdated, match="changed since it was asked for"):
        revocation.approve(waiting, by=roy, digest=waiting.digest)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.error) == (
        State.CALLED_OFF,
        "The cluster changed since it was asked for. Nothing was done.",
    )
    again = ask(revocation.plan(guarded), rex)
    with later(minutes=12):
        assert revocation.approve(again, by=roy, digest=again.digest).state == State.SCHEDULED


def test_what_nobody_approves_in_time_is_withdrawn(guarded: Alert, rex: User, roy: User) -> None:
    waiting = ask(revocation.plan(guarded), rex)
    with later(minutes=16):
        with pytest.raises(revocation.RequestRefused, match="within 15 minutes"):
            revocation.approve(waiting, by=roy, digest=waiting.digest)
        revocation.withdraw_unapproved()
    waiting.refresh_from_db()
    assert (waiting.state, waiting.called_off_by) == (State.CALLED_OFF, None)
    assert revocation.wanted(guarded)


def test_the_database_itself_refuses_a_person_approving_their_own(guarded: Alert, rex: User) -> None:
    waiting = ask(revocation.plan(guarded), rex)
    waiting.approved_by = rex
    with transaction.atomic(), pytest.raises(IntegrityError):
        waiting.save()


def test_the_page_shows_the_second_person_the_plan_and_lets_them_approve_or_call_off(
    guarded: Alert, as_rex: Client, roy: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[object] = []
    monkeypatch.setattr(tasks, "wake", lambda task, *args, **_: woken.append((task.name, *args)))
    planned = revocation.plan(guarded)
    assert "Somebody else has to approve it within 15 minutes" in text_of(as_rex.get(address(guarded)))
    click(as_rex, address(guarded))
    assert woken == []
    own = text_of(as_rex.get(address(guarded)))
    assert "Waits for a second person" in own
    assert "Approve:" not in own
    assert "Call off" in own
    as_roy = logged_in(roy)
    text = text_of(as_roy.get(address(guarded)))
    assert "Approve: Revoke role and 1 binding" in text
    assert "loses everything it holds" in text
    as_roy.post(address(guarded, "revoke_approve"), {"digest": planned.digest})
    assert woken == [("alerts.tasks.run_revocation", planned.pk)]
    assert "approved by roy" in text_of(as_roy.get(address(guarded)))


def test_a_log_in_of_long_ago_asks_for_the_password_on_the_dialog(rex: User, alert: Alert, scene: Scene) -> None:
    client = Client()
    client.post(reverse("alerts:login"), {"username": "rex", "password": PASSWORD})
    revocation.plan(alert)
    assert 'name="password"' not in client.get(address(alert)).content.decode()
    with later(minutes=61):
        revocation.plan(alert)
        assert 'name="digest"' not in client.get(alert.get_absolute_url()).content.decode()
        page = client.get(address(alert)).content.decode()
        assert 'name="password"' in page
        refused = click(client, address(alert), reason="Kept text")
        assert refused.status_code == 422
        assert "enter your password" in text_of(refused)
        assert "Kept text" in refused.content.decode()
        assert click(client, address(alert), password="wrong").status_code == 422
        assert not alert.revocations.active().exists()
        assert click(client, address(alert), password=PASSWORD).status_code == 302
    assert alert.revocations.get(state=State.SCHEDULED).requested_by == rex


def test_wrong_passwords_end_the_session(rex: User, alert: Alert) -> None:
    client = Client()
    client.force_login(rex)
    planned = revocation.plan(alert)
    form = {"digest": planned.digest, "reason": "Not authorised", "password": "guessed"}
    answers = [client.post(address(alert), form) for _ in range(5)]
    assert [each.status_code for each in answers] == [422] * 4 + [302]
    assert answers[-1]["Location"] == reverse("alerts:login")
    assert client.get(address(alert)).status_code == 302


def test_a_setting_of_none_never_asks_for_the_password(rex: User, alert: Alert, settings: Settings) -> None:
    settings.REVOKE_LOGIN_MINUTES = 0
    client = Client()
    client.force_login(rex)
    revocation.plan(alert)
    assert click(client, alert.get_absolute_url()).status_code == 302
