"""The plan, made against a practice cluster over real HTTP."""

import hashlib
import json

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from alerts.cluster.kinds import ObjectReference
from alerts.models import AccessObject, Alert, AuditEvent, Cluster, Revocation
from alerts.services import revocation
from tests.faults import Answer
from tests.integration.revocation.conftest import (
    BINDING,
    ROLE,
    SCRAPER,
    Scene,
    alert_about,
    alert_on,
    hear_of_the_attack,
    later,
    stored_text,
)

State = Revocation.State


def test_a_plan_pins_the_role_and_every_binding_and_changes_nothing(alert: Alert, scene: Scene) -> None:
    role, binding = scene.admin.read(ROLE), scene.admin.read(BINDING)
    planned = revocation.plan(alert)
    assert planned.state == State.PLANNED, planned.error
    assert [(each["kind"], each["uid"], each["resource_version"]) for each in planned.plan] == [
        ("ClusterRoleBinding", binding["metadata"]["uid"], binding["metadata"]["resourceVersion"]),
        ("ClusterRole", role["metadata"]["uid"], role["metadata"]["resourceVersion"]),
    ]
    assert [each["outcome"] for each in planned.rehearsal] == ["accepted", "accepted"]
    assert planned.warnings == planned.refusals == []
    assert planned.effects["same"][1] is True
    assert scene.has(ROLE)
    assert scene.has(BINDING)
    assert scene.network.sent("DELETE") == []


def test_the_manifests_are_stored_with_checksums_that_fit(alert: Alert, scene: Scene) -> None:
    for target in revocation.plan(alert).plan:
        assert hashlib.sha256(target["manifest"].encode()).hexdigest() == target["sha256"]
    stored = revocation.stored(revocation.plan(alert))["items"]
    assert stored == [scene.admin.read(ROLE), scene.admin.read(BINDING)]


def test_who_loses_what_is_said_of_every_holder_with_what_it_keeps(alert: Alert, scene: Scene) -> None:
    scene.role("reads-secrets")
    scene.bind("reads-secrets", "reads-secrets", subjects=[{"kind": "User", "name": "jane"}])
    scene.bind(ROLE.name, "also-jane", namespace="kube-system", subjects=[{"kind": "User", "name": "jane"}])
    planned = revocation.plan(alert)
    scraper, jane = planned.effects["losses"]
    assert (scraper["subject"], scraper["scope"], scraper["keeps"]) == (
        "service account kube-system/metrics-scraper",
        "",
        False,
    )
    assert (jane["subject"], jane["scope"], jane["keeps"]) == ("user jane", "kube-system", True)
    assert scraper["parts"]
    assert (jane["example"]["verb"], jane["example"]["resource"]) != ("list", "secrets")


def test_what_would_break_are_the_requests_that_nothing_else_permits(alert: Alert) -> None:
    hear_of_the_attack(alert.cluster)
    planned = revocation.plan(alert)
    (use,) = planned.effects["use"]
    assert use["username"] == "system:serviceaccount:kube-system:metrics-scraper"
    assert use["count"] == 9
    assert "get secrets db-credentials in payments" in use["requests"]


def test_a_request_that_another_binding_permits_would_not_break(alert: Alert, scene: Scene) -> None:
    scene.bind("cluster-admin", "backup-way")
    hear_of_the_attack(alert.cluster)
    assert revocation.plan(alert).effects["use"] == []


def test_the_step_on_the_alert_tells_how_the_plan_stands(alert: Alert) -> None:
    revocation.plan(alert)
    alert.refresh_from_db()
    evidence = alert.evidence["revoke"]
    assert evidence["summary"].startswith("Deletes 1 role and 1 binding. Rehearsed on the cluster: accepted.")
    assert evidence["chips"] == [["good", "Ready"]]


def test_a_new_plan_makes_the_one_before_stale_and_plans_of_other_ways_stand(alert: Alert, scene: Scene) -> None:
    first, contain = revocation.plan(alert), revocation.plan(alert, "contain")
    scene.touch(ROLE)
    second = revocation.plan(alert)
    assert second.digest != first.digest
    states = dict(alert.revocations.values_list("pk", "state"))
    assert states == {first.pk: State.STALE, second.pk: State.PLANNED, contain.pk: State.PLANNED}


def test_a_plan_that_comes_out_the_same_renews_the_one_before(alert: Alert) -> None:
    first = revocation.plan(alert)
    with later(minutes=9):
        assert (revocation.wanted(alert), revocation.renewable(alert)) == (False, True)
        second = revocation.plan(alert)
    assert (second.pk, second.digest, second.effects["drift"]) == (first.pk, first.digest, [])
    assert second.planned_at > first.planned_at
    assert alert.revocations.count() == 1


def test_a_new_plan_tells_what_changed_since_the_one_before(alert: Alert, scene: Scene) -> None:
    revocation.plan(alert)
    scene.touch(ROLE, why="<b>")
    scene.bind(ROLE.name, "second")
    scene.remove(BINDING)
    scene.bind(ROLE.name, BINDING.name)
    told = {each["text"]: each["lines"] for each in revocation.plan(alert).effects["drift"]}
    assert set(told) == {
        "ClusterRole metrics-scraper-v2 was changed.",
        "ClusterRoleBinding metrics-scraper-v2 was deleted and made again.",
        "ClusterRoleBinding second is new in the plan.",
    }
    changed = told["ClusterRole metrics-scraper-v2 was changed."]
    assert any(line.startswith("+") and '"why": "<b>"' in line for line in changed)
    assert not any("resourceVersion" in line for line in changed)


def test_the_sweep_makes_plans_before_they_expire_and_after_a_change(alert: Alert, scene: Scene) -> None:
    revocation.plan(alert)
    assert revocation.unready() == []
    with later(minutes=9):
        assert revocation.unready() == [alert]
        Alert.objects.update(score=0)
        alert.cluster.api_address = ""
        alert.cluster.save()
        assert revocation.unready() == []
    hear_of_a_change(alert, BINDING)
    assert revocation.unready() == [alert]


def hear_of_a_change(alert: Alert, reference: ObjectReference) -> None:
    """Note that a binding was deleted; the version that says so does not tell to which role it referred."""
    about = AccessObject.named(alert.cluster, reference.kind, "", reference.name)
    about.versions.create(source="listing", uid="b", resource_version="1", manifest={"roleRef": {"name": ROLE.name}})
    event = AuditEvent.objects.create(
        cluster=alert.cluster, sha256="d", audit_id="d", at=timezone.now(), verb="delete", body={}
    )
    about.versions.create(source="event", event=event, at=event.at, uid="b", deletion=True)


def test_a_plan_is_wanted_once_and_again_when_it_is_old(alert: Alert) -> None:
    assert revocation.wanted(alert)
    assert [each.pk for each in revocation.unready()] == [alert.pk]
    planned = revocation.plan(alert)
    assert not revocation.wanted(alert)
    assert revocation.unready() == []
    with later(minutes=11):
        assert revocation.wanted(alert)
        assert not planned.is_fresh()


OURSELVES = "system:serviceaccount:rolecall:rolecall"


@pytest.mark.parametrize(
    ("audit_id", "username", "wanted"),
    [
        ("of-somebody", "jane", True),
        ("rolecall-rehearsal-1-0", OURSELVES, False),
        ("rolecall-rehearsal-1-0", "jane", True),  # anybody can choose our Audit-ID
    ],
)
def test_a_change_heard_of_since_has_a_new_plan_wanted(
    alert: Alert, audit_id: str, username: str, wanted: bool
) -> None:
    revocation.plan(alert)
    event = AuditEvent.objects.create(
        cluster=alert.cluster,
        sha256=audit_id,
        audit_id=audit_id,
        at=timezone.now(),
        verb="delete",
        username=username,
        body={},
    )
    assert alert.object
    alert.object.versions.create(source="event", event=event, at=event.at)
    assert revocation.wanted(alert) is wanted


def test_what_is_gone_already_is_said_and_can_be_recorded(alert: Alert, scene: Scene, ana: User) -> None:
    scene.remove(BINDING)
    scene.remove(ROLE)
    planned = revocation.plan(alert)
    assert (planned.state, planned.effects["gone"]) == (State.REFUSED, True)
    assert planned.error.startswith("It is gone already")
    checked = revocation.confirm_by_hand(alert, by=ana)
    alert.refresh_from_db()
    assert (checked.state, alert.status) == (State.DONE, "in_progress")


def test_bindings_to_a_role_that_is_gone_are_planned_alone(alert: Alert, scene: Scene) -> None:
    scene.remove(ROLE)
    planned = revocation.plan(alert)
    assert [each["kind"] for each in planned.plan] == ["ClusterRoleBinding"]
    assert planned.state == State.PLANNED


def test_unbinding_takes_the_chosen_bindings_only(alert: Alert, scene: Scene) -> None:
    scene.bind(ROLE.name, "second")
    planned = revocation.plan(alert, "unbind", choice=revocation.Choice(bindings=("ClusterRoleBinding//second",)))
    assert [each["name"] for each in planned.plan] == ["second"]
    assert {each["key"]: each["chosen"] for each in planned.effects["bindings"]} == {
        "ClusterRoleBinding//metrics-scraper-v2": False,
        "ClusterRoleBinding//second": True,
    }


def test_unbinding_leaves_protected_bindings_alone_and_remembers_what_was_chosen(prod: Cluster, scene: Scene) -> None:
    for name in ("added", "another"):
        scene.bind("cluster-admin", name, subjects=[{"kind": "User", "name": "jane"}])
    alert = alert_on(prod, scene, "cluster-admin")
    planned = revocation.plan(alert, "unbind")
    assert (planned.state, [each["name"] for each in planned.plan]) == (State.PLANNED, ["added", "another"])
    revocation.plan(alert, "unbind", choice=revocation.Choice(bindings=("ClusterRoleBinding//added",)))
    assert [each["name"] for each in revocation.plan(alert, "unbind").plan] == ["added"]


def test_containing_an_aggregated_role_is_refused_with_the_reason(prod: Cluster, scene: Scene) -> None:
    selector = {"matchLabels": {"example.com/collected": "yes"}}
    scene.role("child", labels={"example.com/collected": "yes"})
    scene.role("collector", aggregationRule={"clusterRoleSelectors": [selector]}, rules=[])
    planned = revocation.plan(alert_on(prod, scene, "collector"), "contain")
    assert planned.state == State.REFUSED
    assert "An aggregated role cannot be contained" in planned.refusals[0]["text"]


def test_a_namespaced_role_goes_with_the_bindings_of_its_namespace(prod: Cluster, scene: Scene) -> None:
    reference = ObjectReference("Role", "kube-system", "local")
    scene.admin.create(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "local", "namespace": "kube-system"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
        }
    )
    for namespace in ("kube-system", "default"):
        scene.admin.create(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "local", "namespace": namespace},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "local"},
                "subjects": [SCRAPER],
            }
        )
    planned = revocation.plan(alert_about(prod, reference))
    assert [(each["kind"], each["namespace"]) for each in planned.plan] == [
        ("RoleBinding", "kube-system"),
        ("Role", "kube-system"),
    ]


def test_an_alert_about_a_binding_takes_that_binding(prod: Cluster) -> None:
    planned = revocation.plan(alert_about(prod, BINDING))
    assert [each["kind"] for each in planned.plan] == ["ClusterRoleBinding"]
    assert planned.effects["losses"]


def test_a_cluster_that_cannot_be_reached_is_said_with_the_sentence(alert: Alert, scene: Scene) -> None:
    scene.network.down()
    planned = revocation.plan(alert)
    scene.network.up()
    assert planned.state == State.REFUSED
    assert "Nothing answers at" in planned.error
    assert not revocation.wanted(alert)
    with later(minutes=2):
        assert revocation.wanted(alert)
    assert revocation.plan(alert).state == State.PLANNED


def test_a_missing_permission_is_named_by_its_rule(alert: Alert, scene: Scene) -> None:
    scene.forbid("delete", "clusterroles")
    planned = revocation.plan(alert)
    assert planned.state == State.REFUSED
    assert [each["outcome"] for each in planned.rehearsal] == ["accepted", "forbidden"]
    assert '"clusterroles"' in planned.error
    assert '"delete"' in planned.error


def test_a_token_that_is_not_accepted_is_said(alert: Alert) -> None:
    alert.cluster.set_api_token("of-yesterday")
    alert.cluster.save()
    assert "does not accept Rolecall's token" in revocation.plan(alert).error


def test_a_cluster_that_may_only_be_read_is_not_even_rehearsed_on(alert: Alert, scene: Scene) -> None:
    alert.cluster.revocable = False
    alert.cluster.save()
    planned = revocation.plan(alert)
    assert (planned.state, planned.rehearsal) == (State.REFUSED, [])
    assert [each for each in scene.network.requests if each.method == "DELETE"] == []
    assert revocation.by_hand(planned)


def test_a_refusal_by_admission_stands_in_the_way(alert: Alert, scene: Scene) -> None:
    scene.network.plan(Answer(422, "ValidatingAdmissionPolicy 'guard' denied request: no"), rehearsal=True)
    planned = revocation.plan(alert)
    assert planned.state == State.REFUSED
    assert planned.rehearsal[0]["outcome"] == "refused"
    assert "denied request" in planned.error


def test_what_cannot_be_rehearsed_is_said_and_may_still_be_run(alert: Alert, scene: Scene) -> None:
    scene.network.plan(Answer(400, 'admission webhook "x" does not support dry run'), rehearsal=True)
    planned = revocation.plan(alert)
    assert planned.state == State.PLANNED
    assert any("cannot be rehearsed" in warning["text"] for warning in planned.warnings)


def test_a_change_while_it_is_planned_asks_for_a_new_plan(alert: Alert, scene: Scene) -> None:
    scene.network.plan(lambda: scene.touch(ROLE), contains="clusterroles/", rehearsal=True)
    planned = revocation.plan(alert)
    assert (planned.state, planned.rehearsal[1]["outcome"]) == (State.REFUSED, "changed")
    assert revocation.plan(alert).state == State.PLANNED


@pytest.mark.parametrize(
    "name", ["<img src=x onerror=alert(1)>", "two words", "*", "--all", "new\nline", "\u202egnp", "a'b\"c", "ü:*;|&"]
)
def test_names_an_attacker_chose_are_planned_and_pinned_exactly(prod: Cluster, scene: Scene, name: str) -> None:
    scene.role(name)
    scene.bind(name, name)
    planned = revocation.plan(alert_on(prod, scene, name))
    assert planned.state == State.PLANNED, planned.error
    assert [json.loads(each["manifest"])["metadata"]["name"] for each in planned.plan] == [name, name]


def test_a_name_that_no_database_holds_is_found_all_the_same(prod: Cluster, scene: Scene) -> None:
    scene.role("nul\x00in-it", annotations={"note": "a\x00b"})
    planned = revocation.plan(alert_about(prod, ObjectReference("ClusterRole", "", "nul\\x00in-it")))
    assert planned.state == State.PLANNED, planned.error
    assert json.loads(planned.plan[0]["manifest"])["metadata"]["name"] == "nul\x00in-it"
    assert "\x00" not in stored_text(planned)
