from typing import Any

import pytest

from alerts import rbac
from tests.unit.audit.events import metadata_only
from tests.unit.detections.examples import (
    EVERYTHING,
    STATUS,
    filled,
    findings,
    found,
    manifest,
    reference,
    user,
    write,
)  # fmt: skip

NAME = "system:basic-user"
LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
RULES = [rule.manifest() for rule in rbac.default_roles()[NAME].rules.rules]
SHIPPED = manifest(name=NAME, rules=RULES, metadata={"labels": LABELS})
BOOT: dict[str, Any] = {"user": {"username": "system:apiserver"}, "sourceIPs": ["127.0.0.1"]}


def changed(**fields: Any) -> dict[str, Any]:
    return manifest(name=NAME, version="2", **({"rules": RULES, "metadata": {"labels": LABELS}} | fields))


def test_a_default_role_that_permits_more_is_tampered_with_and_found_once() -> None:
    event = write(changed(rules=[*RULES, *EVERYTHING]))
    assert found(event, SHIPPED) == ("default_role_tampered", f"Default ClusterRole {NAME} widened")
    assert found(event) == ("default_role_tampered", f"Default ClusterRole {NAME} changed")


def test_a_default_role_that_permits_less_is_tampered_with() -> None:
    assert found(write(changed(rules=[])), SHIPPED)[1] == f"Default ClusterRole {NAME} narrowed"


def test_a_default_role_exempted_from_repair_is_tampered_with() -> None:
    exempt = {"labels": LABELS, "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}
    title = f"Default ClusterRole {NAME} exempted from being restored"
    assert found(write(changed(metadata=exempt)), SHIPPED)[1] == title
    harmless = {"labels": LABELS, "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}}
    assert not findings(write(changed(metadata=harmless)), SHIPPED)


def test_a_default_role_of_which_nothing_was_recorded_may_be_tampered_with() -> None:
    title = f"Default ClusterRole {NAME} changed, and how was not recorded"
    assert found(metadata_only(write(changed())), SHIPPED)[1] == title


def test_a_deleted_default_role_is_found_as_such() -> None:
    event = write(SHIPPED, "delete", requestObject=None, responseObject=STATUS)
    assert found(event) == ("default_role_tampered", f"Default ClusterRole {NAME} deleted")
    assert found(write(manifest(name="admin"), "delete", requestObject=None, responseObject=STATUS))[1].startswith(
        "Def"
    )


def test_a_default_binding_with_other_subjects_is_tampered_with() -> None:
    before = manifest("ClusterRoleBinding", NAME, metadata={"labels": LABELS}, subjects=[user("a")])
    after = before | {"subjects": [user("a"), user("eve")]}
    title = f"Default ClusterRoleBinding {NAME} changed: other subjects than before"
    assert found(write(after), before) == ("default_role_tampered", title)
    assert not findings(write(before), before)
    prize = manifest("ClusterRoleBinding", "cluster-admin", roleRef=reference("cluster-admin"), subjects=[user("eve")])
    assert found(write(prize))[0] == "default_role_tampered"


@pytest.mark.parametrize("name", ["view", "admin"])
def test_an_aggregated_default_that_the_controller_fills_is_nothing(name: str) -> None:
    selectors = {"clusterRoleSelectors": [{"matchLabels": {"x": name}}]}
    before = manifest(name=name, aggregationRule=selectors)
    after = manifest(name=name, aggregationRule=selectors, rules=EVERYTHING, version="2")
    assert not findings(filled(after), before)
    assert found(write(after), before)[0] == "default_role_tampered"
    assert found(write(manifest(name=name, aggregationRule={"clusterRoleSelectors": [{}]})), before)[1].endswith(
        "before"
    )


def test_the_controllers_account_that_has_a_default_take_in_every_role_fills_nothing() -> None:
    before = manifest(name="view", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"x": "view"}}]})
    after = manifest(name="view", version="2", aggregationRule={"clusterRoleSelectors": [{}]})
    title = "Default ClusterRole view changed: it takes in other roles than before"
    assert found(filled(after), before) == ("default_role_tampered", title)
    sent = {"aggregationRule": after["aggregationRule"]}
    assert found(filled(after, requestObject=sent), before) == ("default_role_tampered", title)


def test_what_the_api_server_mends_itself_is_nothing_and_what_looks_like_it_is_found() -> None:
    event = write(changed(rules=[*RULES, *EVERYTHING]), **BOOT)
    assert not findings(event, SHIPPED)
    assert findings(event | {"sourceIPs": ["198.51.100.23"]}, SHIPPED)
    assert findings(event | {"user": {"username": "eve"}}, SHIPPED)


def test_a_mark_on_a_role_of_ones_own_hides_nothing() -> None:
    before = manifest(metadata={"labels": LABELS})
    assert found(write(manifest(rules=EVERYTHING, metadata={"labels": LABELS})), before)[0] == "default_role_tampered"


def collection(*items: dict[str, Any], kind: str = "ClusterRole", **changes: Any) -> dict[str, Any]:
    event = write(items[0], "deletecollection", requestObject={"kind": "DeleteOptions"})
    answer = {"kind": f"{kind}List", "items": [{**item, "kind": None} for item in items]}
    return event | {"objectRef": event["objectRef"] | {"name": ""}, "responseObject": answer} | changes


def test_defaults_deleted_among_many_are_found_each_by_its_name() -> None:
    other = manifest(name="view")
    found_ones = findings(collection(SHIPPED, other, manifest()))
    assert sorted((each.detection, each.title, each.name) for each in found_ones) == [
        ("default_role_tampered", f"Default ClusterRole {NAME} deleted", NAME),
        ("default_role_tampered", "Default ClusterRole view deleted", "view"),
        ("role_deleted", "ClusterRole reader deleted", "reader"),
    ]
    assert len({each.fingerprint for each in found_ones}) == 3


def test_default_bindings_deleted_among_many_are_found_and_others_are_nothing() -> None:
    shipped = manifest("RoleBinding", "system::leader", metadata={"labels": LABELS, "namespace": "kube-system"})
    event = collection(shipped, manifest("RoleBinding", "mine"), kind="RoleBinding")
    (finding,) = findings(event)
    assert finding.title == "Default RoleBinding kube-system/system::leader deleted"
    assert (finding.namespace, finding.name) == ("kube-system", "system::leader")
    assert not findings(collection(manifest("ClusterRoleBinding", "mine"), kind="ClusterRoleBinding"))


def test_cluster_role_bindings_of_which_nobody_recorded_the_names_may_be_defaults() -> None:
    event = metadata_only(collection(manifest("ClusterRoleBinding", "cluster-admin"), kind="ClusterRoleBinding"))
    title = "ClusterRoleBindings deleted, all at once, or rehearsed: the log does not tell"
    assert found(event) == ("default_role_tampered", title)
    assert not findings(metadata_only(collection(manifest("RoleBinding", "mine"), kind="RoleBinding")))
