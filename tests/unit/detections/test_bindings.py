from typing import Any

import pytest

from tests.unit.audit.events import metadata_only
from tests.unit.detections.examples import RBAC, findings, found, manifest, reference, refusal, user, write

ANONYMOUS = {"kind": "User", "apiGroup": RBAC, "name": "system:anonymous"}
EVERYBODY = {"kind": "Group", "apiGroup": RBAC, "name": "system:authenticated"}
BOT = {"kind": "ServiceAccount", "name": "bot"}


def binding(*subjects: dict[str, str], role: str = "cluster-admin", kind: str = "ClusterRoleBinding") -> dict[str, Any]:
    return manifest(kind, "ops", roleRef=reference(role), subjects=list(subjects), version=str(len(subjects)))


@pytest.mark.parametrize(("verb", "code"), [("create", 201), ("patch", 201), ("update", 201)])
def test_a_binding_says_what_it_gives_to_whom(verb: str, code: int) -> None:
    title = "ClusterRoleBinding ops created: cluster-admin for user eve"
    assert found(write(binding(user("eve")), verb, code)) == ("binding_created", title)


@pytest.mark.parametrize(
    ("subjects", "who"),
    [
        ([], "nobody"),
        ([user("eve"), ANONYMOUS], "anybody without log-in and 1 more"),
        ([user("eve"), EVERYBODY], "everybody (system:authenticated) and 1 more"),
        ([BOT], "service account web/bot"),
    ],
)
def test_of_several_the_gravest_is_named(subjects: list[dict[str, str]], who: str) -> None:
    event = write(binding(*subjects, kind="RoleBinding", role="view"), "create", 201)
    assert found(event)[1] == f"RoleBinding web/ops created: view for {who}"


def test_a_binding_of_which_nothing_was_recorded_is_created_all_the_same() -> None:
    event = metadata_only(write(binding(), "create", 201))
    assert found(event) == ("binding_created", "ClusterRoleBinding ops created")


@pytest.mark.parametrize("broken", [{"roleRef": None}, {"roleRef": {"name": 7}}, {"subjects": "all"}])
def test_a_binding_that_makes_no_sense_breaks_nothing(broken: dict[str, Any]) -> None:
    assert found(write(binding() | broken, "create", 201))[1] == "ClusterRoleBinding ops created"


def test_a_binding_that_somebody_may_not_create_is_an_attempt() -> None:
    event = refusal(binding(), "no", "create")
    assert found(event) == ("binding_created", "Attempt to create ClusterRoleBinding ops")


def test_a_rehearsed_or_existing_binding_is_nothing() -> None:
    assert not findings(write(binding(), "create", 409))
    assert not findings(write(binding(), "create", 201, requestURI="/x?dryRun=All"))


def test_a_new_subject_is_a_change() -> None:
    event = write(binding(user("ann"), user("eve")))
    title = "ClusterRoleBinding ops changed: cluster-admin for user eve too"
    assert found(event, binding(user("ann"))) == ("binding_changed", title)


def test_subjects_taken_away_or_written_otherwise_are_nothing() -> None:
    assert not findings(write(binding(user("ann"))), binding(user("ann"), user("eve")))
    twice = {"kind": "User", "name": "system:serviceaccount:web:bot"}
    assert not findings(write(binding(twice, kind="RoleBinding")), binding(BOT, kind="RoleBinding"))


def test_a_change_from_or_to_the_unknown_is_found() -> None:
    event = write(binding(user("eve")))
    assert found(event)[1].endswith("cluster-admin for user eve, and who had it before is unknown")
    assert found(metadata_only(event), binding())[1].endswith("and who holds it now was not recorded")
