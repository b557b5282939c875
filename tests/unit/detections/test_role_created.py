import pytest

from tests.unit.audit.events import metadata_only
from tests.unit.detections.examples import EVERYTHING, findings, found, manifest, refusal, write

ROLE = manifest("Role")


@pytest.mark.parametrize(("verb", "code"), [("create", 201), ("patch", 201), ("update", 201)])
def test_a_role_is_created_by_post_apply_and_put(verb: str, code: int) -> None:
    assert found(write(ROLE, verb, code)) == ("role_created", "Role web/reader created")


def test_a_role_is_created_at_level_metadata() -> None:
    assert found(metadata_only(write(ROLE, "create", 201))) == ("role_created", "Role web/reader created")


def test_a_rehearsal_creates_no_role() -> None:
    assert not findings(write(ROLE, "create", 201, requestURI="/apis/x?dryRun=All"))


def test_an_attempt_is_told_from_an_escalation() -> None:
    message = 'roles is forbidden: User "eve" cannot create resource "roles" in API group "rbac.authorization.k8s.io"'
    assert found(refusal(ROLE, message, "create")) == ("role_created", "Attempt to create Role web/reader")
    assert found(refusal(ROLE, message)) == ("role_created", "Attempt to create Role web/reader")
    other = message.replace('"roles" in', '"clusterroles" in')
    assert not findings(refusal(ROLE, other))


def test_roles_of_one_name_in_two_namespaces_are_two() -> None:
    other = manifest("Role", metadata={"namespace": "db"}, rules=EVERYTHING)
    causes = {findings(metadata_only(write(each, "create", 201)))[0].fingerprint for each in (ROLE, other)}
    attempts = {findings(refusal(each, "no", "create"))[0].fingerprint for each in (ROLE, other)}
    assert len(causes) == len(attempts) == 2
