"""The run: once, in order, on the planned objects only, and said as it is, whatever goes wrong on the way."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django import Settings

from alerts import tasks
from alerts.models import Activity, Alert, Cluster, Revocation
from alerts.services import revocation, workflow
from alerts.services.revocation import execution
from tests.faults import Answer
from tests.integration.revocation.conftest import (
    BINDING,
    ROLE,
    Scene,
    alert_on,
    ask,
    later,
    requests_of,
)

State = Revocation.State
RUNNING = "alerts.services.revocation.running.execute"


@pytest.fixture
def asked(alert: Alert, rex: User, no_grace: None) -> Revocation:
    """The attack's role, planned and asked to be revoked at once."""
    return ask(revocation.plan(alert), rex)


def outcomes(ended: Revocation) -> list[str]:
    return [result["outcome"] for result in ended.results]


class Killed(BaseException):
    """What happens to a worker that is killed: nothing of ours catches it."""


def test_a_revoke_deletes_the_bindings_then_the_role_and_proves_it(asked: Revocation, scene: Scene) -> None:
    ended = revocation.run(asked)
    assert (ended.state, ended.error) == (State.DONE, "")
    assert not scene.has(BINDING)
    assert not scene.has(ROLE)
    assert scene.network.sent("DELETE") == [BINDING.path, ROLE.path]
    assert outcomes(ended) == ["deleted", "deleted"]
    assert [check["passed"] for check in ended.proof["objects"]] == [True, True]
    (holder,) = ended.proof["holders"]
    assert (holder["subject"], holder["passed"]) == ("service account kube-system/metrics-scraper", True)
    assert holder["text"].startswith("May no longer ")


def test_every_call_carries_our_own_audit_id(asked: Revocation, scene: Scene) -> None:
    revocation.run(asked)
    deletions = [event["auditID"] for event in scene.events if event["verb"] == "delete"]
    assert deletions[-2:] == [f"rolecall-{asked.pk}-0", f"rolecall-{asked.pk}-1"]
    assert all(each.startswith("rolecall-rehearsal-") for each in deletions[:-2])


def test_the_end_answers_the_step_for_the_person_who_asked(asked: Revocation, rex: User) -> None:
    version = asked.alert.version
    revocation.run(asked)
    alert = Alert.objects.get(pk=asked.alert_id)
    answer = alert.steps.get(key="revoke").answer()
    assert answer is not None
    assert (answer.outcome, answer.by, answer.reason) == ("revoked", rex, "Not authorised")
    assert answer.evidence["proof"]["objects"]
    assert alert.version == version + 1
    assert alert.evidence["revoke"]["summary"] == "Gone, and verified: 1 role and 1 binding."
    kinds = list(Activity.objects.filter(alert=alert).values_list("kind", flat=True))
    assert kinds == ["revoke_requested", "revoke_done", "watching"]
    assert Activity.objects.broken(alert) == []


def test_what_is_gone_is_watched_for_its_return_without_being_asked(asked: Revocation, rex: User) -> None:
    revocation.run(asked)
    watches = {(each.condition, each.name): each.set_by for each in asked.alert.watches.all()}
    assert watches == {("returns", ROLE.name): rex, ("actor_writes", asked.alert.actor): rex}
    alert = Alert.objects.get(pk=asked.alert_id)
    assert alert.evidence["watch"]["chips"] == [["good", "Watching"]]
    assert alert.evidence["revoke"]["chips"] == [["good", "Done"]]


def test_what_is_not_proven_gone_is_not_watched(asked: Revocation, scene: Scene) -> None:
    scene.touch(ROLE)
    assert revocation.run(asked).state == State.PARTLY
    assert not asked.alert.watches.exists()


def test_an_answer_that_somebody_gave_stays(asked: Revocation, ana: User) -> None:
    workflow.answer(asked.alert, "revoke", "kept", by=ana, version=asked.alert.version)
    revocation.run(asked)
    assert asked.alert.steps.get(key="revoke").outcome == "kept"


def test_nothing_happens_during_the_grace(alert: Alert, rex: User, scene: Scene) -> None:
    scheduled = ask(revocation.plan(alert), rex)
    assert revocation.due() == []
    assert revocation.run(scheduled).state == State.SCHEDULED
    assert scene.network.sent("DELETE") == []
    with later(seconds=11):
        assert revocation.due() == [scheduled.pk]
        assert revocation.run(scheduled).state == State.DONE


def test_it_can_be_called_off_until_it_begins(alert: Alert, rex: User, scene: Scene) -> None:
    scheduled = ask(revocation.plan(alert), rex)
    with later(seconds=11):
        revocation.call_off(scheduled, by=rex)
        assert revocation.due() == []
        assert revocation.run(scheduled).state == State.CALLED_OFF
    assert scene.network.sent("DELETE") == []
    assert scene.has(ROLE)


def test_it_is_too_late_to_call_it_off_once_it_began(
    asked: Revocation, rex: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call_off_in_the_middle() -> None:
        with pytest.raises(revocation.RequestRefused, match="too late"):
            revocation.call_off(asked, by=rex)

    in_the_middle(monkeypatch, call_off_in_the_middle)
    assert revocation.run(asked).state == State.DONE


def test_asking_twice_runs_once(alert: Alert, rex: User, no_grace: None, scene: Scene) -> None:
    planned = revocation.plan(alert)
    assert ask(planned, rex).pk == ask(planned, rex).pk
    revocation.run(planned)
    revocation.run(planned)
    assert scene.network.sent("DELETE") == [BINDING.path, ROLE.path]
    assert Activity.objects.filter(alert=alert, kind="revoke_requested").count() == 1


def test_only_one_revoke_of_an_alert_is_under_way(alert: Alert, rex: User) -> None:
    planned, contain = revocation.plan(alert), revocation.plan(alert, "contain")
    ask(planned, rex)
    with pytest.raises(revocation.RequestRefused, match="Another revoke"):
        ask(contain, rex)
    assert revocation.plan(alert).pk == planned.pk


def test_of_two_workers_at_once_one_runs_it(asked: Revocation, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def second_worker() -> None:
        assert revocation.run(asked).state == State.RUNNING

    in_the_middle(monkeypatch, second_worker)
    assert revocation.run(asked).state == State.DONE
    assert scene.network.sent("DELETE") == [BINDING.path, ROLE.path]


def test_a_worker_that_was_silent_too_long_gives_way_to_the_one_that_took_over(
    asked: Revocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Revocation] = []

    def second_worker() -> None:
        with later(minutes=2):
            ended.append(revocation.run(asked))

    in_the_middle(monkeypatch, second_worker)
    first = revocation.run(asked)
    assert [each.state for each in ended] == [State.DONE]
    assert first.results == ended[0].results
    assert Activity.objects.filter(kind="revoke_done").count() == 1


def test_a_worker_killed_between_two_deletions_is_continued_from_there(
    asked: Revocation, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        killed_at(patched, call=2, before=True)
        with pytest.raises(Killed):
            revocation.run(asked)
    asked.refresh_from_db()
    assert (asked.state, outcomes(asked)) == (State.RUNNING, ["deleted", "sent"])
    assert revocation.due() == []
    with later(minutes=2):
        assert revocation.due() == [asked.pk]
        ended = revocation.run(asked)
    assert (ended.state, outcomes(ended)) == (State.DONE, ["deleted", "deleted"])
    assert scene.network.sent("DELETE") == [BINDING.path, ROLE.path]


def test_a_worker_killed_before_it_could_record_a_deletion_finds_that_it_was_its_own(
    asked: Revocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        killed_at(patched, call=1, before=False)
        with pytest.raises(Killed):
            revocation.run(asked)
    with later(minutes=2):
        ended = revocation.run(asked)
    assert (ended.state, outcomes(ended)) == (State.DONE, ["deleted", "deleted"])
    assert "our request went out before" in ended.results[0]["text"]


def test_what_was_made_again_after_our_lost_deletion_is_not_touched(
    asked: Revocation, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        killed_at(patched, call=1, before=False)
        with pytest.raises(Killed):
            revocation.run(asked)
    scene.bind(ROLE.name, BINDING.name)
    with later(minutes=2):
        ended = revocation.run(asked)
    assert ended.state == State.PARTLY
    assert scene.has(BINDING)
    assert "Another object of its name exists" in ended.error


def test_a_role_changed_since_the_plan_is_not_touched_and_a_new_plan_finishes(
    asked: Revocation, scene: Scene, rex: User
) -> None:
    scene.touch(ROLE)
    ended = revocation.run(asked)
    assert (ended.state, outcomes(ended)) == (State.PARTLY, ["deleted", "changed"])
    assert scene.has(ROLE)
    assert "ClusterRole metrics-scraper-v2: It was changed since the plan" in ended.error
    assert asked.alert.steps.get(key="revoke").outcome == ""
    assert revocation.wanted(asked.alert)
    rest = revocation.plan(asked.alert)
    assert [each["kind"] for each in rest.plan] == ["ClusterRole"]
    assert revocation.run(ask(rest, rex)).state == State.DONE


def test_a_role_made_again_since_the_plan_is_not_touched(asked: Revocation, scene: Scene) -> None:
    scene.remove(ROLE)
    scene.role(ROLE.name)
    ended = revocation.run(asked)
    assert (ended.state, outcomes(ended)) == (State.PARTLY, ["deleted", "replaced"])
    assert scene.has(ROLE)


def test_nothing_done_is_called_failed(asked: Revocation, scene: Scene) -> None:
    scene.touch(ROLE)
    scene.touch(BINDING)
    ended = revocation.run(asked)
    assert (ended.state, outcomes(ended)) == (State.FAILED, ["changed", "changed"])
    assert [check["passed"] for check in ended.proof["holders"]] == [False]


def test_an_object_that_is_gone_by_then_is_said_to_be(asked: Revocation, scene: Scene) -> None:
    scene.remove(BINDING)
    ended = revocation.run(asked)
    assert (ended.state, outcomes(ended)) == (State.DONE, ["gone", "deleted"])


def test_a_permission_that_is_missing_is_named_and_the_rest_is_done(asked: Revocation, scene: Scene) -> None:
    scene.forbid("delete", "clusterroles")
    ended = revocation.run(asked)
    assert (ended.state, outcomes(ended)) == (State.PARTLY, ["deleted", "forbidden"])
    assert 'Give it the rule {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"]' in ended.error


def test_what_admission_refuses_is_said(asked: Revocation, scene: Scene) -> None:
    scene.network.plan(Answer(403, "ValidatingAdmissionPolicy 'guard' denied request: protected"))
    ended = revocation.run(asked)
    assert (ended.state, outcomes(ended)) == (State.PARTLY, ["refused", "deleted"])
    assert "denied request: protected" in ended.error


def test_a_cluster_gone_midway_pauses_the_run_which_then_continues(asked: Revocation, scene: Scene) -> None:
    scene.network.plan("lose", contains="clusterroles/")
    paused = revocation.run(asked)
    assert (paused.state, outcomes(paused)) == (State.RUNNING, ["deleted", "sent"])
    assert "Trying again" in paused.error
    with later(seconds=6):
        assert revocation.due() == [asked.pk]
        ended = revocation.run(asked)
    assert (ended.state, ended.error) == (State.DONE, "")
    assert not scene.has(ROLE)


def test_a_cluster_that_stays_away_ends_the_run_with_what_was_done(asked: Revocation, scene: Scene) -> None:
    scene.network.plan("lose", contains="clusterroles/")
    revocation.run(asked)
    scene.network.down()
    with later(minutes=3):
        ended = revocation.run(asked)
    scene.network.up()
    assert ended.state == State.PARTLY
    assert "ClusterRole metrics-scraper-v2: Sent; no answer yet." in ended.error
    assert "before it could be verified" in ended.error
    assert "Nothing answers at" in ended.error


def test_an_answer_lost_after_the_deletion_took_effect_is_found_out_by_reading(asked: Revocation, scene: Scene) -> None:
    scene.network.plan("swallow")
    ended = revocation.run(asked)
    assert (ended.state, outcomes(ended)) == (State.DONE, ["deleted", "deleted"])
    assert scene.network.sent("DELETE") == [BINDING.path, ROLE.path]


def test_an_overloaded_cluster_is_left_alone_as_long_as_it_asks(asked: Revocation, scene: Scene) -> None:
    scene.network.plan(Answer(429, "too many requests", {"Retry-After": "30"}))
    assert revocation.run(asked).state == State.RUNNING
    with later(seconds=25):
        assert revocation.due() == []
    with later(seconds=31):
        assert revocation.run(asked).state == State.DONE


def test_a_failure_while_it_is_proved_only_repeats_the_proof(asked: Revocation, scene: Scene) -> None:
    scene.network.plan(Answer(500, "etcd is away"), method="GET", contains="metrics-scraper-v2")
    assert revocation.run(asked).state == State.RUNNING
    with later(seconds=6):
        assert revocation.run(asked).state == State.DONE
    assert scene.network.sent("DELETE") == [BINDING.path, ROLE.path]


def test_a_token_withdrawn_midway_ends_the_run(asked: Revocation, scene: Scene) -> None:
    scene.network.plan(Answer(401), contains="clusterroles/")
    ended = revocation.run(asked)
    assert ended.state == State.PARTLY
    assert "does not accept Rolecall's token" in ended.error


def test_what_a_finalizer_holds_is_said_to_be_still_in_force(
    prod: Cluster, scene: Scene, rex: User, no_grace: None
) -> None:
    scene.role("held", finalizers=["example.com/keep"])
    scene.bind("held", "held")
    ended = revocation.run(ask(revocation.plan(alert_on(prod, scene, "held")), rex))
    assert (ended.state, outcomes(ended)) == (State.PARTLY, ["deleted", "held"])
    assert "example.com/keep keeps it: it is still in force" in ended.error
    assert ended.proof["objects"][1]["passed"] is False


def test_a_binding_made_since_the_plan_is_found_by_the_proof(asked: Revocation, scene: Scene) -> None:
    scene.bind(ROLE.name, "made-since", namespace="default")
    ended = revocation.run(asked)
    assert ended.state == State.PARTLY
    assert "RoleBinding default/made-since: It refers to the role and was made since the plan." in ended.error


def test_a_holder_that_may_still_do_it_by_other_means_is_told(asked: Revocation, scene: Scene) -> None:
    scene.bind("cluster-admin", "another-way")
    ended = revocation.run(asked)
    assert ended.state == State.DONE
    assert "May still" in ended.error
    assert "another-way" in ended.error


def test_containing_empties_the_rules_and_keeps_the_objects(
    alert: Alert, scene: Scene, rex: User, no_grace: None
) -> None:
    ended = revocation.run(ask(revocation.plan(alert, "contain"), rex))
    assert (ended.state, outcomes(ended)) == (State.DONE, ["emptied"])
    assert not scene.admin.read(ROLE)["rules"]
    assert scene.has(BINDING)
    assert alert.steps.get(key="revoke").outcome == "revoked"


def test_a_lost_answer_to_containing_is_found_out_by_reading(
    alert: Alert, scene: Scene, rex: User, no_grace: None
) -> None:
    scheduled = ask(revocation.plan(alert, "contain"), rex)
    scene.network.plan("swallow", method="PATCH")
    ended = revocation.run(scheduled)
    assert (ended.state, outcomes(ended)) == (State.DONE, ["emptied"])


def test_unbinding_some_keeps_the_role_and_leaves_the_step_open(
    alert: Alert, scene: Scene, rex: User, no_grace: None
) -> None:
    scene.bind(ROLE.name, "second")
    ended = revocation.run(
        ask(revocation.plan(alert, "unbind", choice=revocation.Choice(bindings=("ClusterRoleBinding//second",))), rex)
    )
    assert ended.state == State.DONE
    assert requests_of(scene, "DELETE") == ["second"]
    assert scene.has(ROLE)
    assert alert.steps.get(key="revoke").outcome == ""


def test_ten_bindings_in_many_namespaces_all_go(alert: Alert, scene: Scene, rex: User, no_grace: None) -> None:
    for number in range(10):
        scene.bind(ROLE.name, f"binding-{number}", namespace="default" if number % 2 else "kube-system")
    ended = revocation.run(ask(revocation.plan(alert), rex))
    assert ended.state == State.DONE
    assert len(ended.results) == 12
    assert ended.results[-1]["key"] == "ClusterRole//metrics-scraper-v2"


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "--all", "new\nline", "a'b\"c\\x00", "\u202egnp"])
def test_names_an_attacker_chose_go_like_any_other(
    prod: Cluster, scene: Scene, rex: User, no_grace: None, name: str
) -> None:
    scene.role(name)
    scene.bind(name, name)
    ended = revocation.run(ask(revocation.plan(alert_on(prod, scene, name)), rex))
    assert (ended.state, outcomes(ended)) == (State.DONE, ["deleted", "deleted"])


def test_a_connection_that_was_taken_away_since_ends_the_run(asked: Revocation) -> None:
    asked.alert.cluster.api_address = ""
    asked.alert.cluster.save()
    ended = revocation.run(asked)
    assert (ended.state, ended.results) == (State.FAILED, [])
    assert "no API address" in ended.error


def test_the_sweep_plans_what_was_never_planned_and_runs_what_is_due(
    alert: Alert, rex: User, no_grace: None, scene: Scene, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "wake", lambda task, *args, **_: task(*args))
    tasks.sweep()
    planned = revocation.current(alert)
    assert planned is not None
    assert planned.state == State.PLANNED
    ask(planned, rex)
    tasks.sweep()
    ended = revocation.current(alert)
    assert ended is not None
    assert ended.state == State.DONE
    assert not scene.has(ROLE)


def in_the_middle(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Have something happen while a run is between claiming and its first deletion."""
    met = [happens]

    def execute(*args: Any, **kwargs: Any) -> tuple[str, str]:
        if met:
            met.pop()()
        return execution.execute(*args, **kwargs)

    monkeypatch.setattr(RUNNING, execute)


def killed_at(monkeypatch: pytest.MonkeyPatch, *, call: int, before: bool) -> None:
    """Kill the worker at its n-th deletion: before it is sent, or after it but before it is recorded."""
    calls = []

    def execute(*args: Any, **kwargs: Any) -> tuple[str, str]:
        calls.append(timezone.now())
        if len(calls) == call and before:
            raise Killed
        done = execution.execute(*args, **kwargs)
        if len(calls) == call:
            raise Killed
        return done

    monkeypatch.setattr(RUNNING, execute)
