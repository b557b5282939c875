import hashlib
from typing import Any

import pytest

from alerts.audit.decode import decode
from alerts.models import Batch, Cluster
from alerts.services import inbox, intake, mentions
from tests.conftest import RECORDINGS
from tests.unit.audit.events import creation, decoded, event_list

HOSTILE = "x\nactor jane\u202e/\0"


def lines(**changes: Any) -> list[str]:
    return mentions.of([decoded(creation(**changes))]).split("\n")[1:-1]


def test_a_batch_mentions_who_did_what_by_which_role() -> None:
    reason = 'RBAC: allowed by RoleBinding "b/web" of Role "r" to User "jane"'
    found = lines(
        user={"username": "jane"},
        impersonatedUser={"username": "system:serviceaccount:web:ci"},
        annotations={"authorization.k8s.io/reason": reason},
    )
    assert found == [
        mentions.actor("jane"),
        mentions.actor("system:serviceaccount:web:ci"),
        mentions.address("198.51.100.23"),
        mentions.binding("RoleBinding", "web", "b"),
        mentions.client("kubectl/v1.32.4"),
        mentions.object_("clusterroles", "", "reader"),
        mentions.role("Role", "web", "r"),
    ]
    assert found[-1] == "role Role/web/r"


def test_a_read_mentions_no_object() -> None:
    assert not any(line.startswith("object") for line in lines(verb="get"))


def test_a_written_binding_mentions_the_role_it_refers_to() -> None:
    reference = {"resource": "rolebindings", "namespace": "web", "name": "b", "apiGroup": "rbac.authorization.k8s.io"}
    found = lines(objectRef=reference, requestObject={"roleRef": {"kind": "Role", "name": "r"}})
    assert mentions.role("Role", "web", "r") in found


def deleted_together(*names: str, **changes: Any) -> dict[str, Any]:
    """Return a deletecollection of roles of a namespace, whose answer lists them."""
    reference = {"resource": "roles", "namespace": "web", "apiGroup": "rbac.authorization.k8s.io"}
    items = [{"metadata": {"name": name, "namespace": "web"}} for name in names]
    answer = {"kind": "RoleList", "items": items}
    return creation(**({"verb": "deletecollection", "objectRef": reference, "responseObject": answer} | changes))


def objects(event: dict[str, Any]) -> list[str]:
    return [line for line in mentions.of([decoded(event)]).split("\n") if line.startswith("object")]


def test_a_deletecollection_mentions_what_its_answer_lists() -> None:
    assert objects(deleted_together("reader", HOSTILE)) == sorted(
        mentions.object_("roles", "web", name) for name in ("", "reader", HOSTILE)
    )


def test_of_a_deletecollection_no_more_is_mentioned_than_has_room() -> None:
    many = objects(deleted_together(*map(str, range(1000))))
    assert mentions.object_("roles", "web", "") in many
    assert 100 < len(many) < 300


@pytest.mark.parametrize(
    "changes",
    [
        {"responseObject": None},
        {"responseObject": {"kind": "RoleList", "items": 7}},
        {"responseObject": {"kind": "RoleList", "items": [None, {"metadata": {"name": 7}}]}},
        {"responseStatus": {"code": 403}, "annotations": {"authorization.k8s.io/decision": "forbid"}},
    ],
)
def test_a_deletecollection_that_lists_nothing_mentions_no_name(changes: dict[str, Any]) -> None:
    assert objects(deleted_together("reader", **changes)) == [mentions.object_("roles", "web", "")]


def test_a_name_cannot_make_a_line_of_its_own() -> None:
    found = lines(user={"username": HOSTILE})
    assert mentions.actor(HOSTILE) in found
    assert "actor jane" not in found


def test_a_long_name_is_cut_and_still_its_own() -> None:
    one, other = mentions.actor("x" * 100_000), mentions.actor("x" * 99_999 + "y")
    assert one != other
    assert len(one) < 600


def test_what_a_client_calls_itself_is_cut_sooner_and_still_its_own() -> None:
    one, other = mentions.client("x" * 101), mentions.client("x" * 100 + "y")
    assert one != other
    assert len(one) < 180
    assert mentions.client("x" * 100) == f"client {'x' * 100}"


def test_a_client_is_looked_for_as_older_batches_have_it_too() -> None:
    assert mentions.clients("kubectl/v1.32.4") == ["client kubectl/v1.32.4"]
    assert mentions.clients("x" * 101) == [mentions.client("x" * 101), f"client {'x' * 101}"]
    hashed = hashlib.sha256(b"x" * 501).hexdigest()
    assert mentions.clients("x" * 501) == [mentions.client("x" * 501), f"client {'x' * 500}…{hashed}"]


def test_who_calls_itself_what_another_client_is_cut_to_is_not_taken_for_it() -> None:
    cut = mentions.client("x" * 101)
    assert cut not in mentions.clients(cut.removeprefix("client "))


def test_nothing_is_mentioned_by_nothing() -> None:
    assert mentions.of([]) == ""


def mentioning(*names: str) -> list[Batch]:
    return list(Batch.objects.filter(mentions.any_of([mentions.actor(name) for name in names])))


def test_a_part_of_a_line_is_no_mention_and_neither_is_the_same_in_another_case(cluster: Cluster) -> None:
    intake.examine(inbox.store_leased(cluster, event_list(creation(user={"username": "janet"})))[0])
    assert not mentioning("jane", "anet", "Janet", "jane.", "j.net", ".*")
    assert mentioning("nobody", "janet")


@pytest.mark.parametrize(
    "name",
    [
        *("janet", "100%", "under_score", HOSTILE, "back\\slash", "a|b", "(?:x", "***=y", "{1}", "größe \u202e"),
        # An index of PostgreSQL takes no more than 2,704 bytes.
        *("x" * 999, "\U0001f600" * 999),
    ],
)
def test_a_search_finds_the_batches_with_a_line(cluster: Cluster, name: str) -> None:
    for username in (name, "somebody else"):
        batch, _ = inbox.store_leased(cluster, event_list(creation(user={"username": username})))
        intake.examine(batch)
    (found,) = mentioning(name, "nobody else")
    assert mentions.actor(name) in found.mentions.split("\n")
    assert not Batch.objects.filter(mentions.any_of([])).exists()


def test_every_recorded_grant_is_mentioned() -> None:
    events = decode((RECORDINGS / "clusterrole-takeover.jsonl").read_bytes()).events
    found = mentions.of(events).split("\n")
    for event in events:
        grant = event.allowed_by
        assert mentions.actor(event.actor) in found
        assert grant is None or mentions.role(grant.role_kind, grant.role_namespace, grant.role_name) in found
