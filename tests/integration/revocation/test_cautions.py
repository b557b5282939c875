"""What a plan refuses, and what it warns of."""

import json

import pytest
from django.contrib.auth.models import User

from alerts import rbac
from alerts.cluster.kinds import ObjectReference
from alerts.models import Alert, Cluster, Revocation
from alerts.services import revocation
from tests.integration.revocation.conftest import (
    RBAC,
    ROLE,
    Scene,
    alert_on,
    ask,
)

State = Revocation.State


def texts(planned: Revocation) -> str:
    return " ".join(warning["text"] for warning in planned.warnings)


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
