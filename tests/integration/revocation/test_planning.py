"""The plan, made against a practice cluster over real HTTP."""

import hashlib
import json

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from alerts import rbac
from alerts.cluster.kinds import ObjectReference
from alerts.models import AccessObject, Alert, AuditEvent, Cluster, Revocation
from alerts.services import revocation
from tests.faults import Answer
from tests.integration.revocation.conftest import (
    BINDING,
    RBAC,
    ROLE,
    SCRAPER,
    Scene,
    alert_about,
    alert_on,
    ask,
    hear_of_the_attack,
    later,
    stored_text,
)

State = Revocation.State


def texts(planned: Revocation) -> str:
    return " ".join(warning["text"] for warning in planned.warnings)


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


@pytest.mark.parametrize("name", ["cluster-admin", "admin", "edit", "view", "system:basic-user"])
def test_roles_that_kubernetes_ships_are_refused_with_what_can_be_done_instead(
    prod: Cluster, scene: Scene, name: str
) -> None:
    planned = revocation.plan(alert_on(prod, scene, name))
    assert planned.state == State.REFUSED
    assert planned.refusals
    assert all(refusal["alternative"] for refusal in planned.refusals)
    assert scene.network.sent("DELETE") == []
    assert planned.rehearsal == []


def test_of_a_default_role_only_what_was_added_goes(prod: Cluster, scene: Scene) -> None:
    shipped = rbac.default_manifests()["system:basic-user"]["rules"]
    added = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
    reference = ObjectReference("ClusterRole", "", "system:basic-user")
    scene.admin.patch(reference, {"rules": [*shipped, added]})
    planned = revocation.plan(alert_on(prod, scene, reference.name))
    assert planned.state == State.REFUSED
    assert [each["text"] for each in planned.effects["added"]] == [
        "Its rules permit more than Kubernetes ships: get on secrets."
    ]
    commands = [command for section in revocation.by_hand(planned) for command in section.commands]
    (patch,) = (each for each in commands if "kubectl patch" in each and "--dry-run" not in each)
    assert json.dumps(shipped, separators=(",", ":")) in patch
    assert scene.admin.read(reference)["metadata"]["uid"] in patch
    assert not any("delete" in each for each in commands)


def test_of_cluster_admin_and_of_an_aggregated_role_it_is_told_who_and_what_was_added(
    prod: Cluster, scene: Scene
) -> None:
    subjects = [{"kind": "Group", "name": "system:masters"}, {"kind": "User", "name": "mallory"}]
    binding = ObjectReference("ClusterRoleBinding", "", "cluster-admin")
    scene.admin.patch(binding, {"subjects": [{"apiGroup": RBAC, **each} for each in subjects]})
    scene.role("extra", labels={"rbac.authorization.k8s.io/aggregate-to-view": "true"})
    told = revocation.plan(alert_on(prod, scene, "cluster-admin")).effects["added"]
    assert [each["text"] for each in told] == [
        "Its default binding gives it to others than Kubernetes does: user mallory."
    ]
    told = revocation.plan(alert_on(prod, scene, "view")).effects["added"]
    assert [each["text"] for each in told] == [
        "ClusterRole extra feeds it, which Kubernetes does not ship: revoke or contain that one."
    ]


@pytest.mark.parametrize(
    "marks",
    [
        {"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
        {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}},
    ],
)
def test_a_protected_mark_is_refused_and_unbinding_stays_possible(
    prod: Cluster, scene: Scene, marks: dict[str, dict[str, str]]
) -> None:
    scene.role("disguised", **marks)
    scene.bind("disguised", "disguised")
    alert = alert_on(prod, scene, "disguised")
    assert revocation.plan(alert).state == State.REFUSED
    unbinding = revocation.plan(alert, "unbind")
    assert unbinding.state == State.PLANNED
    assert unbinding.effects["advice"]["mode"] == "unbind"


@pytest.mark.parametrize(
    ("marks", "manager"),
    [
        (
            {
                "labels": {"app.kubernetes.io/managed-by": "Helm"},
                "annotations": {
                    "meta.helm.sh/release-name": "metrics",
                    "meta.helm.sh/release-namespace": "kube-system",
                },
            },
            "Helm (metrics)",
        ),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "metrics:rbac/x"}}, "Argo CD (metrics:rbac/x)"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "infra"}}, "Flux (infra)"),
        ({"labels": {"olm.owner": "operator.v1"}}, "the Operator Lifecycle Manager (operator.v1)"),
        ({"labels": {"addonmanager.kubernetes.io/mode": "Reconcile"}}, "the addon manager"),
        (
            {"ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "maker", "uid": "u"}]},
            "owned by Deployment maker",
        ),
    ],
)
def test_what_somebody_manages_is_planned_with_the_warning_that_it_returns(
    prod: Cluster, scene: Scene, marks: dict[str, object], manager: str
) -> None:
    scene.role("managed", **marks)
    planned = revocation.plan(alert_on(prod, scene, "managed"))
    assert planned.state == State.PLANNED
    assert manager in texts(planned)
    assert "ClusterRole managed" in texts(planned)


def test_a_role_made_again_since_the_alert_is_warned_of_gravely(alert: Alert, scene: Scene) -> None:
    old = scene.admin.read(ROLE)["metadata"]["uid"]
    scene.remove(ROLE)
    new = scene.role(ROLE.name)["metadata"]["uid"]
    planned = revocation.plan(alert)
    assert planned.state == State.PLANNED
    assert (planned.warnings[0]["grave"], planned.effects["same"][1]) == (True, False)
    assert old in planned.warnings[0]["text"]
    assert new in planned.warnings[0]["text"]


def test_without_a_uid_in_the_audit_log_the_time_decides(prod: Cluster, scene: Scene) -> None:
    scene.role("just-made")
    assert revocation.plan(alert_on(prod, scene, "just-made", object_uid="")).warnings == []
    old = revocation.plan(alert_on(prod, scene, "cluster-admin", object_uid=""), "unbind")
    assert "this one was made at another time" in texts(old)


def test_a_role_that_feeds_others_warns_of_everybody_who_holds_those(prod: Cluster, scene: Scene) -> None:
    scene.role("extra", labels={"rbac.authorization.k8s.io/aggregate-to-view": "true"})
    scene.bind("view", "viewers", subjects=[{"kind": "User", "name": "jane"}])
    planned = revocation.plan(alert_on(prod, scene, "extra"))
    assert "It is part of ClusterRole view" in texts(planned)
    assert "user jane" in [loss["subject"] for loss in planned.effects["losses"]]


def test_labels_that_our_account_may_not_take_off_come_as_a_command(prod: Cluster, scene: Scene) -> None:
    scene.role("extra", labels={"rbac.authorization.k8s.io/aggregate-to-view": "true"})
    alert = alert_on(prod, scene, "extra")
    planned = revocation.plan(alert, "contain", choice=revocation.Choice(labels_only=True))
    assert planned.state == State.REFUSED
    assert "not even its labels" in planned.error
    commands = [command for section in revocation.by_hand(planned) for command in section.commands]
    assert any('{"labels":{"rbac.authorization.k8s.io/aggregate-to-view":null}' in each for each in commands)


def test_finalizers_are_warned_of(prod: Cluster, scene: Scene) -> None:
    scene.role("held", finalizers=["example.com/keep"])
    planned = revocation.plan(alert_on(prod, scene, "held"))
    assert "example.com/keep would keep it in force" in texts(planned)


def test_rolecalls_own_access_is_warned_of(prod: Cluster, scene: Scene) -> None:
    ours = {"kind": "ServiceAccount", "name": "rolecall", "namespace": "rolecall"}
    scene.role("ours")
    scene.bind("ours", "ours", subjects=[ours])
    planned = revocation.plan(alert_on(prod, scene, "ours"))
    assert "Rolecall’s own access" in texts(planned)


def test_the_analysts_own_access_asks_them_alone_for_the_typed_name(
    prod: Cluster, scene: Scene, rex: User, ana: User
) -> None:
    scene.role("of-rex")
    scene.bind("of-rex", "of-rex", subjects=[{"kind": "User", "name": rex.email}])
    planned = revocation.plan(alert_on(prod, scene, "of-rex"))
    assert planned.warnings == []
    assert revocation.personal(planned, ana) == []
    with pytest.raises(revocation.RequestRefused, match="type the name"):
        ask(planned, rex)
    assert ask(planned, rex, typed_name="of-rex").state == State.SCHEDULED


def test_the_last_binding_of_cluster_admin_is_warned_of(prod: Cluster, scene: Scene) -> None:
    scene.remove(ObjectReference("ClusterRoleBinding", "", "cluster-admin"))
    scene.bind("cluster-admin", "the-last", subjects=[{"kind": "User", "name": "jane"}])
    planned = revocation.plan(
        alert_on(prod, scene, "cluster-admin"),
        "unbind",
        choice=revocation.Choice(bindings=("ClusterRoleBinding//the-last",)),
    )
    assert "the last binding that makes anybody cluster-admin" in texts(planned)


def test_the_control_planes_accounts_are_warned_of(prod: Cluster, scene: Scene) -> None:
    scene.role("nodes-too")
    scene.bind("nodes-too", "nodes-too", subjects=[{"kind": "Group", "name": "system:nodes"}])
    assert "belongs to the control plane" in texts(revocation.plan(alert_on(prod, scene, "nodes-too")))


def test_what_is_gone_already_is_said_and_can_be_recorded(alert: Alert, scene: Scene, ana: User) -> None:
    scene.remove(BINDING)
    scene.remove(ROLE)
    planned = revocation.plan(alert)
    assert (planned.state, planned.effects["gone"]) == (State.REFUSED, True)
    assert planned.error.startswith("It is gone already")
    checked = revocation.confirm_by_hand(alert, by=ana)
    assert checked.state == State.DONE


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
    assert "cannot be rehearsed" in texts(planned)


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
