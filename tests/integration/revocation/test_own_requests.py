"""What Rolecall itself asks of a cluster is no alert, and who pretends to be it is."""

from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone
from django.utils.crypto import salted_hmac

from alerts.models import AuditEvent, Cluster, Restoration, Revocation
from alerts.services.revocation.own_requests import rehearsal_names
from tests.integration.investigation.test_family import at, changed, last, made
from tests.recorded import as_list, take_in
from tests.unit.audit.events import metadata_only
from tests.unit.detections.examples import (
    STATUS,
    manifest,
    write,
)  # fmt: skip


def test_our_own_deletion_raises_no_alert_and_one_that_only_claims_to_be_ours_does(cluster: Cluster, rex: User) -> None:
    alert = last(cluster, made(manifest()))
    ours = Revocation.objects.create(
        alert=alert, mode="revoke", state="done", reason="It was an attack.", requested_by=rex,
        digest="0" * 64, plan=[], planned_at=timezone.now(),
        effects={"ourselves": changed(manifest())["user"]["username"]},
    )  # fmt: skip
    keys = ("ClusterRole//reader", "ClusterRole//second")
    ours.results = [{"key": key, "audit_id": f"rolecall-{ours.pk}-0"} for key in keys]
    ours.save()
    gone: dict[str, Any] = {"verb": "delete", "requestObject": None, "responseObject": STATUS}
    assert not take_in(cluster, as_list([changed(manifest(), **gone | {"auditID": f"rolecall-{ours.pk}-0"})]))
    other = changed(manifest(name="other"), **gone | {"auditID": f"rolecall-{ours.pk}-0"})
    assert take_in(cluster, as_list([other]))
    rehearsed = metadata_only(changed(manifest(name="third"), **gone | {"auditID": "rolecall-rehearsal-1-2-0"}))
    assert take_in(cluster, as_list([rehearsed]))
    somebody: dict[str, Any] = {"user": {"username": "eve", "groups": []}}
    copied = changed(
        manifest(name="second"), verb="delete", requestObject=None, auditID=f"rolecall-{ours.pk}-0", **somebody
    )
    assert take_in(cluster, as_list([copied]))
    assert AuditEvent.objects.filter(verb="delete").count() == 4


def test_what_an_undo_put_back_raises_no_alert_and_another_object_of_its_audit_id_does(
    cluster: Cluster, rex: User
) -> None:
    ended = Revocation.objects.create(
        alert=last(cluster, made(manifest())), mode="revoke", state="done", reason="x", requested_by=rex,
        digest="0" * 64, plan=[], planned_at=timezone.now(),
    )  # fmt: skip
    undone = Restoration.objects.create(revocation=ended, reason="It was needed", requested_by=rex, state="done")
    undone.results = [{"key": "ClusterRole//reader", "outcome": "restored", "text": "", "uid": "new"}]
    undone.save()
    named = {"auditID": f"rolecall-undo-{undone.pk}-0"}
    ours, other = (
        write(manifest(metadata={"uid": uid}), "create", 201, **at(second) | named)
        for uid, second in (("new", 50), ("another", 55))
    )
    assert not take_in(cluster, as_list([ours]))
    assert take_in(cluster, as_list([other]))


def rehearsal(audit_id: str, name: str = "reader", **changes: Any) -> bytes:
    """Return a deletion at level Metadata, which may be a rehearsal, by the account that is ours."""
    gone: dict[str, Any] = {"verb": "delete", "requestObject": None, "responseObject": STATUS, "auditID": audit_id}
    return as_list([metadata_only(changed(manifest(name=name), **(gone | changes)))])


OURSELVES = changed(manifest())["user"]["username"]
EVE: dict[str, Any] = {"user": {"username": "eve", "groups": []}}


def test_our_own_rehearsal_at_level_metadata_raises_no_alert(cluster: Cluster) -> None:
    assert not take_in(cluster, rehearsal(rehearsal_names(cluster, by=OURSELVES)("ClusterRole//reader")))


def test_a_rehearsal_that_somebody_read_of_excuses_nothing_else(cluster: Cluster) -> None:
    seen = rehearsal_names(cluster, by=OURSELVES)("ClusterRole//reader")
    assert take_in(cluster, rehearsal(seen, **EVE))
    assert take_in(cluster, rehearsal(seen, "cluster-admin"))
    assert take_in(Cluster.objects.create(name="another"), rehearsal(seen))


def test_where_a_cluster_does_not_say_who_we_are_no_rehearsal_is_known_to_be_ours(cluster: Cluster) -> None:
    assert take_in(cluster, rehearsal(rehearsal_names(cluster, by="")("ClusterRole//reader")))


def test_a_rehearsal_of_which_only_the_nonce_was_sealed_is_ours_where_a_plan_names_its_object(
    cluster: Cluster,
) -> None:
    alert = last(cluster, made(manifest()))
    Revocation.objects.create(
        alert=alert, mode="revoke", digest="0" * 64, effects={"ourselves": OURSELVES},
        plan=[{"kind": "ClusterRole", "namespace": "", "name": "reader"}],
    )  # fmt: skip
    seal = salted_hmac("rolecall.rehearsal", "0a1b2c3d", algorithm="sha256").hexdigest()[:16]
    before = f"rolecall-rehearsal-0a1b2c3d-{seal}-0"
    assert not take_in(cluster, rehearsal(before))
    assert take_in(cluster, rehearsal(before, **EVE))
    assert take_in(cluster, rehearsal(before, "cluster-admin"))
