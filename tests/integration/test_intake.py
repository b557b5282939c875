from typing import Any

import pytest
import time_machine

from alerts.lifecycle import Status, Verdict
from alerts.models import (
    AccessObject,
    AccessVersion,
    Activity,
    Alert,
    AuditEvent,
    Batch,
    Cluster,
    DamagedItem,
    Step,
    Watch,
)
from alerts.playbook import STEPS
from alerts.services import inbox, intake, investigation, watch
from alerts.services.intake import Outcome
from alerts.services.reading import Reading, read
from tests.conftest import DATA, RECORDINGS
from tests.integration.conftest import Parallel
from tests.integration.examining import recording, remembered, take_in
from tests.unit.audit.events import UID, as_bytes, creation, event_list, metadata_only, reading, role

HOSTILE = DATA / "audit" / "hostile"
REFUSED: dict[str, Any] = {"responseStatus": {"code": 403}, "responseObject": {"kind": "Status", "code": 403}}


def test_a_created_role_opens_an_alert_with_everything_it_needs(cluster: Cluster) -> None:
    alert, *_ = take_in(cluster, recording("clusterrole-takeover")).opened
    assert alert.title == "ClusterRole metrics-scraper-v2 created"
    assert (alert.detection, alert.actor, alert.status) == ("cluster_role_created", "ci-deployer", Status.NEW)
    assert str(alert.object) == "ClusterRole metrics-scraper-v2"
    assert alert.object_uid == "0c03d3fb-2939-40bb-bf9b-5ad83692fecf"
    assert [step.key for step in alert.steps.order_by("pk")] == [step.key for step in STEPS]
    assert alert.evidence_due
    (event,) = alert.events.all()
    assert (event.verb, event.code, event.at) == ("create", 201, alert.happened_at)
    assert event.body["requestObject"]["rules"]
    (activity,) = alert.activities.all()
    assert (activity.kind, activity.by) == ("opened", None)


def test_a_batch_that_was_examined_says_what_was_in_it(cluster: Cluster) -> None:
    take_in(cluster, recording("clusterrole-takeover"))
    batch = Batch.objects.get()
    assert (batch.state, batch.event_count, batch.damaged_count, batch.error) == (Batch.State.DONE, 21, 0, "")
    assert "\nrole ClusterRole//metrics-scraper-v2\n" in batch.mentions
    assert "\nactor system:serviceaccount:kube-system:metrics-scraper\n" in batch.mentions
    cluster.refresh_from_db()
    assert cluster.last_event_at == batch.latest_at
    assert batch.earliest_at is not None


def test_only_what_matters_is_kept_for_good(cluster: Cluster) -> None:
    outcome = take_in(cluster, recording("clusterrole-takeover"))
    assert outcome.kept == 3
    kept = set(AuditEvent.objects.values_list("resource", flat=True))
    assert kept == {"clusterroles", "clusterrolebindings", "serviceaccounts"}


def test_a_dry_run_is_not_kept(cluster: Cluster) -> None:
    take_in(cluster, recording("binding-to-admin"))
    assert not Alert.objects.filter(object__name="never-made").exists()
    assert AuditEvent.objects.count() == 3
    assert not AuditEvent.objects.filter(dry_run=True).exists()


def test_a_refusal_is_an_alert_of_its_own(cluster: Cluster) -> None:
    opened = sorted(take_in(cluster, recording("refused-escalation")).opened, key=lambda alert: alert.happened_at)
    assert [(alert.title, alert.attempted) for alert in opened] == [
        ("Attempt to create an unnamed ClusterRole", True),
        ("Attempt to create ClusterRole debug-everything", True),
        ("Attempt to escalate through ClusterRole pod-log-reader", True),
    ]
    assert opened[0].object is None
    assert not AccessVersion.objects.exists()


def test_attempts_of_a_day_gather_in_one_alert(cluster: Cluster) -> None:
    late = creation(**REFUSED, requestReceivedTimestamp="2026-11-23T20:00:00.000000Z")
    (alert,) = take_in(cluster, event_list(late)).opened
    investigation.gather(alert)
    early = creation(**REFUSED)
    assert not take_in(cluster, event_list(early)).opened
    alert.refresh_from_db()
    assert alert.events.count() == 2
    assert alert.evidence_due
    assert alert.happened_at.hour == 18


def test_a_batch_that_comes_again_changes_nothing(cluster: Cluster) -> None:
    take_in(cluster, recording("operator-install"))
    before = remembered(cluster)
    batch = Batch.objects.get()
    assert intake.examine(batch) == Outcome()
    assert remembered(cluster) == before


def test_a_batch_examined_twice_comes_to_the_same(cluster: Cluster) -> None:
    for path in sorted(RECORDINGS.glob("*.jsonl")):
        take_in(cluster, path.read_bytes())
    before = remembered(cluster)
    Batch.objects.update(state=Batch.State.WAITING, tries=0)
    for batch in inbox.claim(100):
        assert not intake.examine(batch).opened
    assert remembered(cluster) == before


def test_batches_examined_together_come_to_the_same_as_one_by_one(cluster: Cluster) -> None:
    bodies = [path.read_bytes() for path in sorted(RECORDINGS.glob("*.jsonl"))]
    alone, together = cluster, Cluster.objects.create(name="together")
    for body in bodies:
        take_in(alone, body)
        inbox.store(together, body)
        # The same events again, in a batch of its own
        inbox.store(together, body + b"\n")
    assert not [outcome.error for outcome in intake.examine_all(inbox.claim(100)) if outcome.error]
    expected, found = remembered(alone), remembered(together)
    assert len(found.pop("batches")) == 2 * len(expected.pop("batches"))
    assert found == expected
    for field in ("last_event_at", "items_damaged"):
        assert getattr(Cluster.objects.get(pk=together.pk), field) == getattr(Cluster.objects.get(pk=alone.pk), field)
    counted, once = Cluster.objects.get(pk=together.pk), Cluster.objects.get(pk=alone.pk)
    assert counted.batches_finished == 2 * once.batches_finished
    assert counted.events_examined == 2 * once.events_examined


def made(name: str) -> bytes:
    return event_list(creation(name, responseObject=role(name, uid=name)))


def test_where_one_of_several_batches_fails_the_others_are_examined_all_the_same(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(body: bytes, *_: Any) -> Reading:
        if b"poison" in body:
            raise RuntimeError
        return read(body)

    monkeypatch.setattr(intake, "read", broken)
    for name in ("one", "poison", "two"):
        inbox.store(cluster, made(name))
    outcomes = list(intake.examine_all(inbox.claim(3)))
    assert [outcome.error for outcome in outcomes] == ["", "RuntimeError: ", ""]
    assert [len(outcome.opened) for outcome in outcomes] == [1, 0, 1]
    assert Batch.objects.filter(state=Batch.State.DONE).count() == 2


def test_of_several_batches_those_that_are_done_meanwhile_are_left_alone(cluster: Cluster) -> None:
    for name in ("one", "two"):
        inbox.store(cluster, made(name))
    claimed = inbox.claim(2)
    assert len(intake.examine(claimed[0]).opened) == 1
    (outcome,) = intake.examine_all(claimed)
    assert [alert.object.name for alert in outcome.opened if alert.object] == ["two"]
    assert Cluster.objects.get().batches_finished == 2


def test_batches_of_several_clusters_are_not_examined_together(cluster: Cluster) -> None:
    other = Cluster.objects.create(name="other")
    for number in range(3):
        for each in (cluster, other):
            inbox.store(each, made(f"role-{number}"))
    outcomes = list(intake.examine_all(inbox.claim(6)))
    assert [len(outcome.opened) for outcome in outcomes] == [3, 3]
    assert [{alert.cluster_id for alert in outcome.opened} for outcome in outcomes] == [{cluster.pk}, {other.pk}]


def test_the_same_role_by_webhook_and_by_log_is_one_alert_and_one_event(cluster: Cluster) -> None:
    posted = {key: value for key, value in creation().items() if key not in {"kind", "apiVersion"}}
    take_in(cluster, event_list(posted))
    assert not take_in(cluster, event_list(creation(), reading())).opened
    assert AuditEvent.objects.count() == 1


def test_a_role_made_again_under_its_old_name_is_another_alert(cluster: Cluster) -> None:
    take_in(cluster, event_list(creation()))
    (alert,) = take_in(cluster, event_list(creation(responseObject=role(uid="another")))).opened
    assert alert.object_uid == "another"
    assert Alert.objects.count() == 2


def test_the_same_role_on_another_cluster_is_another_alert(cluster: Cluster) -> None:
    take_in(cluster, event_list(creation()))
    assert take_in(Cluster.objects.create(name="other"), event_list(creation())).opened


def test_at_level_metadata_the_rules_are_unknown(cluster: Cluster) -> None:
    (alert,) = take_in(cluster, event_list(metadata_only(creation()))).opened
    assert alert.object is not None
    version = alert.object.latest()
    assert version is not None
    assert (version.manifest, version.uid, alert.object_uid) == (None, "", "")


@pytest.mark.parametrize("path", sorted(HOSTILE.iterdir()), ids=lambda path: path.stem)
def test_a_hostile_batch_is_taken_in_whole(cluster: Cluster, path: Any) -> None:
    take_in(cluster, path.read_bytes())
    batch = Batch.objects.get()
    assert batch.state == Batch.State.DONE
    assert batch.event_count + batch.damaged_count == 3
    assert DamagedItem.objects.count() == batch.damaged_count


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("markup-in-a-name.jsonl", "ClusterRole <img src=x onerror=alert(1)> created"),
        ("nul-in-a-name.jsonl", r"ClusterRole half\x00hidden created"),
        ("bidirectional-name.jsonl", 'ClusterRole =HYPERLINK("http:evil","x")\nline2 \u202egnp\u202c created'),
        ("long-audit-id.jsonl", "ClusterRole long-id created"),
        ("no-user.jsonl", "ClusterRole no-user created"),
        ("half-an-event.jsonl", "ClusterRole cut-role created"),
    ],
)
def test_a_hostile_creation_is_an_alert(cluster: Cluster, name: str, title: str) -> None:
    opened = take_in(cluster, (HOSTILE / name).read_bytes()).opened
    (alert,) = (each for each in opened if each.detection == "cluster_role_created")
    assert alert.title == title


def test_a_damaged_item_is_kept_with_its_reason_and_what_could_be_read(cluster: Cluster) -> None:
    body = (HOSTILE / "nested-5000-deep.jsonl").read_bytes()
    take_in(cluster, body)
    item = DamagedItem.objects.get()
    assert (item.position, item.reason) == (1, "It is nested more than 200 levels deep.")
    assert item.salvaged["user"]["username"] == "mallory@example.com"
    assert "requestObject" not in item.salvaged
    assert inbox.body(item) == body.splitlines()[1]


@time_machine.travel("2026-11-23T18:30:00Z")
def test_damaged_audit_data_of_one_actor_is_one_alert_of_its_own(cluster: Cluster) -> None:
    opened = [
        alert
        for name in ("malformed-patch", "lone-surrogate", "long-audit-id")
        for alert in take_in(cluster, (HOSTILE / f"{name}.jsonl").read_bytes()).opened
        if alert.detection == "audit_data_damaged"
    ]
    assert [(alert.title, alert.actor) for alert in opened] == [
        ("Audit data of mallory@example.com is damaged", "mallory@example.com")
    ]
    (alert,) = opened
    assert alert.events.count() == 3
    assert alert.damaged_items.count() == 2
    assert not Activity.objects.broken(alert)


@time_machine.travel("2026-11-23T18:30:00Z")
def test_what_nobody_can_read_is_one_alert_a_day(cluster: Cluster) -> None:
    opened = [alert for body in (b"{{{", b"\x00", b"nonsense") for alert in take_in(cluster, body).opened]
    assert [(alert.title, alert.actor) for alert in opened] == [("Audit data of an unknown actor is damaged", "")]
    assert opened[0].damaged_items.count() == 3


@time_machine.travel("2026-11-23T18:30:00Z")
def test_new_damage_opens_a_closed_alert_again_and_the_same_does_not(cluster: Cluster) -> None:
    (alert,) = take_in(cluster, b"{{{").opened
    for body, status in ((b"{{{\n", Status.CLOSED), (b"nonsense", Status.IN_PROGRESS)):
        Alert.objects.update(status=Status.CLOSED, verdict=Verdict.BENIGN, closed_at=alert.happened_at)
        take_in(cluster, body)
        alert.refresh_from_db()
        assert alert.status == status
    assert alert.activities.filter(kind="reopened").count() == 1


def test_damage_elsewhere_is_kept_and_no_alert(cluster: Cluster) -> None:
    event = as_bytes(reading() | {"verb": "patch", "requestObject": 0})
    take_in(cluster, event_list(event.replace(b'"requestObject":0', b'"requestObject":{{{')))
    assert DamagedItem.objects.get().alert is None
    assert not Alert.objects.exists()


def test_a_damaged_write_is_kept_and_marked_incomplete(cluster: Cluster) -> None:
    take_in(cluster, (HOSTILE / "lone-surrogate.jsonl").read_bytes())
    row = AuditEvent.objects.get()
    assert (row.verb, row.incomplete) == ("patch", True)
    version = AccessVersion.objects.get()
    assert version.manifest is None


def test_a_secret_in_an_event_is_not_kept_in_clear(cluster: Cluster) -> None:
    leaked = creation(requestObject={"kind": "List", "items": [{"kind": "Secret", "data": {"p": "aHVudGVyMg=="}}]})
    take_in(cluster, event_list(leaked))
    assert "aHVudGVyMg==" not in str(AuditEvent.objects.get().body)


def test_what_a_watch_waits_for_reopens_its_alert(cluster: Cluster) -> None:
    (alert,) = take_in(cluster, event_list(creation())).opened
    watch.start(alert, by=None, days=3650)
    Watch.objects.update(since=alert.happened_at)
    Alert.objects.update(status=Status.CLOSED, verdict=Verdict.BENIGN, closed_at=alert.happened_at)
    again = creation(responseObject=role(uid="another"), requestReceivedTimestamp="2026-11-23T19:00:00.000000Z")
    take_in(cluster, event_list(again))
    alert.refresh_from_db()
    assert alert.status == Status.IN_PROGRESS


def test_use_of_a_role_has_its_open_alert_investigated_again(cluster: Cluster) -> None:
    (alert,) = take_in(cluster, event_list(creation())).opened
    Alert.objects.update(evidence_due=False)
    take_in(cluster, event_list(reading()))
    alert.refresh_from_db()
    assert alert.evidence_due


def test_a_batch_that_cannot_be_examined_leaves_nothing_behind_and_is_tried_again(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("no such luck: Authorization: Bearer abcdefgh1")

    monkeypatch.setattr(investigation, "mark_due", broken)
    inbox.store(cluster, event_list(creation()))
    (batch,) = inbox.claim(1)
    assert intake.examine(batch).error == "RuntimeError: no such luck: Authorization: Bearer [redacted]"
    assert not Alert.objects.exists()
    assert not AuditEvent.objects.exists()
    assert not AccessObject.objects.exists()
    kept = Batch.objects.get()
    assert (kept.state, kept.tries) == (Batch.State.LEASED, 1)
    assert kept.error.startswith("RuntimeError")


@pytest.mark.django_db(transaction=True)
def test_examined_by_several_workers_at_once_a_batch_has_its_effects_once(parallel: Parallel) -> None:
    cluster = Cluster.objects.create(name="prod-eu")
    batch, _ = inbox.store_leased(cluster, recording("operator-install"))
    # The same writes again, in a batch of its own
    other, _ = inbox.store_leased(cluster, recording("operator-install").replace(b"\n", b"\n\n"))
    opened: list[Alert] = []

    def work() -> None:
        for each in (batch, other):
            outcome = intake.examine(each)
            opened.extend(outcome.opened)

    parallel(work, 3)
    assert len(opened) == Alert.objects.count() == 10
    assert Step.objects.count() == 10 * len(STEPS)
    assert Activity.objects.filter(kind="opened").count() == 10
    assert set(Batch.objects.values_list("state", flat=True)) == {Batch.State.DONE}
    assert not [alert for alert in opened if Activity.objects.broken(alert)]


def test_uids_longer_than_kubernetes_makes_them_do_no_harm(cluster: Cluster) -> None:
    (alert,) = take_in(cluster, event_list(creation(responseObject=role(uid=UID * 9)))).opened
    assert len(alert.object_uid) == 64
