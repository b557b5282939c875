"""The undo: exactly what was taken away comes back, and nothing that somebody made since is touched."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from alerts import tasks
from alerts.models import Alert, Cluster, Restoration, Revocation
from alerts.services import draft, revocation
from tests.faults import Answer
from tests.integration.revocation.conftest import BINDING, ROLE, Scene, alert_on, ask, later
from tests.integration.revocation.test_page import address, text_of

State = Restoration.State
OURSELVES = {"kind": "ServiceAccount", "name": "rolecall", "namespace": "rolecall"}


@pytest.fixture
def ended(restorable: Cluster, alert: Alert, rex: User, no_grace: None) -> Revocation:
    """The attack's role, revoked."""
    return revocation.run(ask(revocation.plan(alert), rex))


def undo(ended: Revocation, by: User) -> Restoration:
    return revocation.put_back(revocation.undo(ended, by=by, reason="It was needed"))


def outcomes(undone: Restoration) -> list[str]:
    return [each["outcome"] for each in undone.results]


def test_the_role_comes_back_then_its_binding_with_new_uids(ended: Revocation, scene: Scene, rex: User) -> None:
    undone = undo(ended, rex)
    assert (undone.state, undone.error, outcomes(undone)) == (State.DONE, "", ["restored", "restored"])
    assert [each["key"] for each in undone.results] == [
        "ClusterRole//metrics-scraper-v2",
        "ClusterRoleBinding//metrics-scraper-v2",
    ]
    for result, reference, planned in zip(undone.results, (ROLE, BINDING), reversed(ended.plan), strict=True):
        assert result["uid"] == scene.admin.read(reference)["metadata"]["uid"] != planned["uid"]
    creations = [event for event in scene.events if event["verb"] == "create"]
    assert [each["auditID"] for each in creations[-2:]] == [f"rolecall-undo-{undone.pk}-{n}" for n in range(2)]


def test_afterwards_the_step_is_open_the_return_unwatched_and_a_new_plan_wanted(ended: Revocation, rex: User) -> None:
    assert not revocation.wanted(ended.alert)
    undo(ended, rex)
    alert = Alert.objects.get(pk=ended.alert_id)
    assert alert.steps.get(key="revoke").outcome == ""
    assert alert.evidence["revoke"]["summary"] == "Undone: 2 of 2 objects are back."
    assert [each.condition for each in alert.watches.all() if each.is_running()] == ["actor_writes"]
    assert "put back afterwards" in " ".join(draft.compose(alert, "security").text.split())
    assert revocation.wanted(alert)
    assert not revocation.undoable(ended)


def test_what_was_made_under_the_same_name_is_not_overwritten_and_nobody_is_bound_to_it(
    ended: Revocation, scene: Scene, rex: User
) -> None:
    new = scene.role(ROLE.name, rules=[{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])
    undone = undo(ended, rex)
    assert (undone.state, outcomes(undone)) == (State.FAILED, ["exists", "skipped"])
    assert new["metadata"]["uid"] in undone.results[0]["text"]
    assert scene.admin.read(ROLE)["rules"] == new["rules"]
    assert not scene.has(BINDING)
    assert ended.alert.watches.filter(condition="returns", tripped_at=None).exists()


def test_a_binding_is_put_back_only_to_the_role_it_was_for(
    restorable: Cluster, alert: Alert, scene: Scene, rex: User, no_grace: None
) -> None:
    ended = revocation.run(ask(revocation.plan(alert, "unbind"), rex))
    scene.remove(ROLE)
    scene.role(ROLE.name)
    undone = undo(ended, rex)
    assert (undone.state, outcomes(undone)) == (State.FAILED, ["skipped"])
    assert not scene.has(BINDING)


def test_an_answer_lost_after_it_was_created_is_found_out_by_reading(
    ended: Revocation, scene: Scene, rex: User
) -> None:
    scene.network.plan("swallow", method="POST", contains="clusterroles")
    undone = undo(ended, rex)
    assert (undone.state, outcomes(undone)) == (State.DONE, ["restored", "restored"])


def test_a_cluster_that_is_away_is_tried_again_and_then_ends_it(ended: Revocation, scene: Scene, rex: User) -> None:
    scene.network.plan("lose", method="POST", contains="clusterrolebindings")
    paused = undo(ended, rex)
    assert (paused.state, outcomes(paused)) == (State.RUNNING, ["restored"])
    assert revocation.undos_due() == []
    with later(seconds=6):
        assert revocation.undos_due() == [paused.pk]
        scene.network.plan(Answer(500), method="POST")
        assert revocation.put_back(paused).state == State.RUNNING
    with later(minutes=3):
        scene.network.plan(Answer(500), method="POST")
        given_up = revocation.put_back(paused)
    assert (given_up.state, outcomes(given_up)) == (State.PARTLY, ["restored"])
    assert given_up.error


def test_the_account_that_revokes_cannot_restore(ended: Revocation, scene: Scene, rex: User) -> None:
    ended.alert.cluster.set_restorer_token(scene.token)
    ended.alert.cluster.save()
    undone = undo(ended, rex)
    assert (undone.state, outcomes(undone)) == (State.FAILED, ["forbidden", "skipped"])
    assert '"verbs": ["create"]' in undone.results[0]["text"]


@pytest.mark.parametrize("labels_only", [False, True])
def test_what_was_contained_gets_its_content_back(
    restorable: Cluster, scene: Scene, rex: User, no_grace: None, labels_only: bool
) -> None:
    label = "rbac.authorization.k8s.io/aggregate-to-view"
    scene.role("extra", labels={label: "true"})
    scene.bind(
        "cluster-admin", "rolecall-too", subjects=[OURSELVES]
    )  # whose rules one does not hold one cannot relabel
    alert = alert_on(restorable, scene, "extra")
    choice = revocation.Choice(labels_only=labels_only)
    ended = revocation.run(ask(revocation.plan(alert, "contain", choice=choice), rex, typed_name="extra"))
    reference = revocation.targets.of(ended)[0].reference
    emptied = scene.admin.read(reference)
    assert (bool(emptied["rules"]), label in emptied["metadata"].get("labels", {})) == (labels_only, not labels_only)
    assert undo(ended, rex).state == State.DONE
    back = scene.admin.read(reference)
    assert (bool(back["rules"]), back["metadata"]["labels"][label]) == (True, "true")


def test_without_the_account_no_undo_is_offered_but_the_commands(
    alert: Alert, as_rex: Client, rex: User, no_grace: None
) -> None:
    ended = revocation.run(ask(revocation.plan(alert), rex))
    assert not revocation.undoable(ended)
    with pytest.raises(revocation.RequestRefused, match="nothing that Rolecall can put back"):
        revocation.undo(ended, by=rex, reason="It was needed")
    text = text_of(as_rex.get(address(alert)))
    assert "Put it back" not in text
    assert "Undo by hand" in text
    assert "kubectl create -f -" in text


def test_the_page_undoes_and_tells_what_came_back(
    ended: Revocation, as_rex: Client, as_ana: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "wake", lambda task, *args, **_: task(*args))
    alert = ended.alert
    assert "Put it back" in text_of(as_rex.get(address(alert)))
    assert as_ana.post(address(alert, "revoke_restore"), {"reason": "x"}).status_code == 403
    assert "Say in a sentence why" in text_of(as_rex.post(address(alert, "revoke_restore"), follow=True))
    text = text_of(as_rex.post(address(alert, "revoke_restore"), {"reason": "It was needed"}, follow=True))
    assert "It exists again, with the new uid" in text
    assert "Put it back" not in text
