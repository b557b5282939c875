"""What people do to an alert."""

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from alerts import playbook
from alerts.lifecycle import MoveRefused, Status, Verdict
from alerts.models import Activity, Alert, Cluster, NoteRevision
from alerts.models.activity import Unalterable
from alerts.services import workflow
from tests.factories import make_alert
from tests.integration.conftest import Parallel


@pytest.fixture
def alert(cluster: Cluster) -> Alert:
    return make_alert(cluster)


def answer_all(alert: Alert, by: User, keys: list[str] | None = None) -> None:
    for step in playbook.STEPS:
        if keys is None or step.key in keys:
            alert.refresh_from_db()
            workflow.answer(alert, step.key, step.outcomes[0].key, by=by, version=alert.version)
    alert.refresh_from_db()


def test_taking_makes_it_mine_and_begins_it(alert: Alert, ana: User) -> None:
    workflow.take(alert, by=ana, version=1)
    alert.refresh_from_db()
    assert (alert.assignee, alert.status, alert.version) == (ana, Status.IN_PROGRESS, 2)


def test_a_change_of_an_older_version_is_stale_and_changes_nothing(alert: Alert, ana: User, ben: User) -> None:
    workflow.take(alert, by=ana, version=1)
    with pytest.raises(workflow.Stale):
        workflow.take(alert, by=ben, version=1)
    alert.refresh_from_db()
    assert alert.assignee == ana
    assert not Activity.objects.filter(by=ben).exists()


def test_an_alert_cannot_be_given_to_somebody_who_may_not_triage(alert: Alert, ana: User, vic: User) -> None:
    with pytest.raises(MoveRefused, match="vic may not triage"):
        workflow.assign(alert, vic, by=ana, version=1)


def test_waiting_needs_to_say_for_what(alert: Alert, ana: User) -> None:
    with pytest.raises(MoveRefused, match="waiting for"):
        workflow.move(alert, Status.WAITING, by=ana, version=1)
    workflow.move(alert, Status.WAITING, by=ana, version=1, reason="the owners of CI")
    alert.refresh_from_db()
    assert alert.status == Status.WAITING


def test_an_answer_keeps_the_evidence_that_lay_before_the_analyst(alert: Alert, ana: User) -> None:
    alert.evidence = {"creator": {"summary": "first seen from 203.0.113.77"}}
    alert.save()
    workflow.answer(alert, "creator", "not_authorised", by=ana, version=1, reason="never from outside")
    alert.evidence = {"creator": {"summary": "something newer"}}
    alert.save(update_fields=["evidence"])
    answer = alert.steps.get(key="creator").answer()
    assert answer is not None
    assert answer.evidence == {"summary": "first seen from 203.0.113.77"}
    assert (answer.label, answer.reason, answer.by) == ("Not authorised", "never from outside", ana)


def test_earlier_answers_are_never_lost(alert: Alert, ana: User) -> None:
    workflow.answer(alert, "use", "misused", by=ana, version=1)
    workflow.reopen_step(alert, "use", by=ana, version=2)
    workflow.answer(alert, "use", "nothing", by=ana, version=3)
    outcomes = list(alert.steps.get(key="use").answers.values_list("outcome", flat=True))
    assert outcomes == ["misused", "", "nothing"]


def test_an_outcome_that_does_not_exist_is_refused(alert: Alert, ana: User) -> None:
    with pytest.raises(MoveRefused):
        workflow.answer(alert, "use", "celebrated", by=ana, version=1)


def test_a_malicious_alert_closes_after_all_eight_answers(alert: Alert, ana: User) -> None:
    answer_all(alert, ana, ["creator", "permissions", "use"])
    with pytest.raises(MoveRefused, match="“Revoke”"):
        workflow.close(alert, Verdict.MALICIOUS, by=ana, version=alert.version, reason="An intruder.")
    answer_all(alert, ana)
    workflow.close(alert, Verdict.MALICIOUS, by=ana, version=alert.version, reason="An intruder.")
    alert.refresh_from_db()
    assert (alert.status, alert.verdict) == (Status.CLOSED, Verdict.MALICIOUS)
    assert alert.closed_at is not None


def test_a_closed_alert_takes_no_answers_until_it_is_reopened(alert: Alert, ana: User) -> None:
    workflow.close(alert, Verdict.DUPLICATE, by=ana, version=1, reason="See the other one.")
    alert.refresh_from_db()
    with pytest.raises(MoveRefused, match="closed"):
        workflow.answer(alert, "use", "misused", by=ana, version=alert.version)
    with pytest.raises(MoveRefused, match="why"):
        workflow.reopen(alert, by=ana, version=alert.version, reason=" ")
    workflow.reopen(alert, by=ana, version=alert.version, reason="It came back.")
    alert.refresh_from_db()
    assert (alert.status, alert.verdict, alert.closed_at) == (Status.IN_PROGRESS, "", None)


def test_the_database_itself_refuses_a_closed_alert_without_a_verdict(alert: Alert) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.filter(pk=alert.pk).update(status=Status.CLOSED)


def test_editing_a_note_keeps_what_it_said(alert: Alert, ana: User, ben: User) -> None:
    note = workflow.write_note(alert, "No release was running.", by=ana)
    with pytest.raises(MoveRefused, match="author"):
        workflow.edit_note(note, "A release was running.", by=ben)
    workflow.edit_note(note, "No release was running at 14:00.", by=ana)
    assert list(NoteRevision.objects.values_list("text", flat=True)) == ["No release was running."]


def test_an_empty_note_and_an_endless_one_are_refused(alert: Alert, ana: User) -> None:
    with pytest.raises(MoveRefused, match="empty"):
        workflow.write_note(alert, " \n", by=ana)
    with pytest.raises(MoveRefused, match="20,000"):
        workflow.write_note(alert, "x" * 20_001, by=ana)


def test_everything_done_is_recorded_in_an_intact_chain(alert: Alert, ana: User) -> None:
    workflow.take(alert, by=ana, version=1)
    workflow.answer(alert, "creator", "unclear", by=ana, version=2)
    assert [activity.kind for activity in alert.activities.order_by("pk")] == ["assigned", "answered"]
    assert Activity.objects.broken(alert) == []


@pytest.mark.django_db(transaction=True)
def test_what_belongs_to_no_alert_is_an_intact_chain_whoever_records_at_once(parallel: Parallel) -> None:
    Activity.objects.record("made", "began", by=None)

    def record() -> None:
        for number in range(10):
            Activity.objects.record("made", f"did {number}", by=None)

    parallel(record, 4)
    assert Activity.objects.filter(alert=None).count() == 41
    assert Activity.objects.broken(None) == []


def test_what_is_recorded_cannot_be_changed_and_a_change_behind_our_back_shows(alert: Alert, ana: User) -> None:
    workflow.take(alert, by=ana, version=1)
    workflow.answer(alert, "creator", "unclear", by=ana, version=2)
    first = alert.activities.order_by("pk")[0]
    with pytest.raises(Unalterable):
        first.save()
    with pytest.raises(Unalterable):
        first.delete()
    Activity.objects.filter(pk=first.pk).update(summary="never happened")
    assert Activity.objects.broken(alert) == [first]
