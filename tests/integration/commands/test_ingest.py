import gzip
import io
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from alerts.models import Alert, Batch, Cluster
from alerts.services import intake, investigation
from tests.conftest import DATA, RECORDINGS
from tests.unit.audit.events import as_bytes, creation, event_list, reading

TAKEOVER = RECORDINGS / "clusterrole-takeover.jsonl"


def ingest(*files: Path | str, cluster: str = "prod-eu", **options: Any) -> str:
    out = io.StringIO()
    call_command("ingest", *map(str, files), cluster=cluster, stdout=out, **options)
    return out.getvalue()


def summary(*files: Path | str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ingest(*files, json=True))
    return found


def test_a_recorded_attack_is_its_role_its_binding_and_its_token(cluster: Cluster, settings: Settings) -> None:
    settings.PUBLIC_URL = "https://rolecall.example"
    found = summary(TAKEOVER)
    assert {key: found[key] for key in ("events", "kept", "damaged", "duplicates", "failed")} == {
        "events": 21,
        "kept": 3,
        "damaged": 0,
        "duplicates": 0,
        "failed": 0,
    }
    alert, *others = found["alerts"]
    assert [other["detection"] for other in others] == ["binding_created", "token_issued"]
    assert alert["detection"] == "cluster_role_created"
    assert alert["object"] == "ClusterRole metrics-scraper-v2"
    assert alert["actor"] == "ci-deployer"
    assert alert["severity"] == "critical"
    assert alert["url"] == f"https://rolecall.example{Alert.objects.earliest('pk').get_absolute_url()}"


def test_the_severity_is_the_investigated_one(cluster: Cluster) -> None:
    found = summary(TAKEOVER)["alerts"]
    stored = list(Alert.objects.order_by("pk"))
    assert [(each["severity"], each["score"]) for each in found] == [(each.severity, each.score) for each in stored]
    assert all(each.evidence_at is not None for each in stored)


def test_people_get_a_summary_in_words(cluster: Cluster) -> None:
    text = ingest(TAKEOVER)
    assert text.startswith("21 events, 3 of them kept for good, 0 damaged items.")
    assert "ClusterRole metrics-scraper-v2 created, by ci-deployer" in text
    assert Alert.objects.earliest("pk").get_absolute_url() in text


def test_without_findings_the_summary_says_so(cluster: Cluster, tmp_path: Path) -> None:
    log = tmp_path / "quiet.log"
    log.write_bytes(as_bytes(reading()))
    assert "No new alerts." in ingest(log)


def test_read_again_a_log_brings_nothing_new(cluster: Cluster) -> None:
    ingest(TAKEOVER)
    found = summary(TAKEOVER)
    assert (found["events"], found["duplicates"], found["alerts"]) == (21, 21, [])
    assert "21 of the events were here before." in ingest(TAKEOVER)


def test_several_files_are_one_summary(cluster: Cluster) -> None:
    found = summary(*sorted(RECORDINGS.glob("*.jsonl")))
    assert found["events"] == 68
    assert len(found["alerts"]) == 26


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    "content",
    [
        as_bytes(creation()) + b"\n" + as_bytes(reading()),
        event_list(creation(), reading()),
        json.dumps([creation(), reading()], indent=2).encode(),
    ],
    ids=["lines", "list", "indented array"],
)
def test_every_form_of_log_is_read(cluster: Cluster, tmp_path: Path, content: bytes, *, compressed: bool) -> None:
    path = tmp_path / "audit"
    path.write_bytes(gzip.compress(content) if compressed else content)
    found = summary(path)
    assert (found["events"], len(found["alerts"])) == (2, 1)


def test_standard_input_is_read(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(TAKEOVER.read_bytes()))))
    assert summary("-")["events"] == 21


def test_a_long_log_is_stored_in_batches_of_a_bounded_size(cluster: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    path.write_bytes(b"\n".join(as_bytes(reading(str(number))) for number in range(4000)))
    assert summary(path)["events"] == 4000
    assert Batch.objects.count() == 3
    assert not Batch.objects.exclude(state="done").exists()


def test_hostile_logs_are_read_to_their_end(cluster: Cluster) -> None:
    files = sorted((DATA / "audit" / "hostile").iterdir())
    found = summary(*files)
    assert found["events"] + found["damaged"] == 3 * len(files)
    assert found["damaged"] == 7
    detections = [alert["detection"] for alert in found["alerts"]]
    assert detections.count("cluster_role_created") == 8
    # A damaged event that says not when it was counts as of today.
    assert detections.count("audit_data_damaged") == 3
    assert sorted(set(detections)) == ["audit_data_damaged", "cluster_role_created", "role_widened"]
    assert len(detections) == 13
    assert "\x00" not in json.dumps(found)


def test_hostile_names_are_visible_in_the_summary(cluster: Cluster) -> None:
    text = ingest(DATA / "audit" / "hostile" / "bidirectional-name.jsonl")
    assert "\u202e" not in text
    assert r"line2 \u202egnp" in text


def test_cut_compression_is_said_and_what_came_before_is_read(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "audit.log.gz"
    content = gzip.compress(b"\n".join(as_bytes(reading(str(number))) for number in range(2000)))
    path.write_bytes(content[:-100])
    assert summary(path)["events"] > 1000
    assert "its compression is damaged" in capsys.readouterr().err


def test_a_batch_that_fails_is_counted_and_left_for_the_workers(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(investigation, "mark_due", broken)
    assert "1 batches could not be examined" in ingest(TAKEOVER)
    assert Batch.objects.get().state == "leased"


def test_evidence_that_cannot_be_gathered_does_not_hide_the_alert(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(investigation, "gather", broken)
    assert {alert["severity"] for alert in summary(TAKEOVER)["alerts"]} == {"medium"}


def test_an_unknown_cluster_is_an_error(db: None) -> None:
    with pytest.raises(CommandError, match="There is no cluster nowhere") as error:
        ingest(TAKEOVER, cluster="nowhere")
    assert error.value.returncode == 2


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_a_file_that_cannot_be_read_is_an_error_before_anything_is_stored(
    cluster: Cluster, tmp_path: Path, name: str
) -> None:
    with pytest.raises(CommandError, match="cannot be read") as error:
        ingest(TAKEOVER, tmp_path / name)
    assert error.value.returncode == 2
    assert not Batch.objects.exists()


def test_what_a_running_worker_has_is_left_to_it(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(TAKEOVER)
    Batch.objects.update(state=Batch.State.LEASED, leased_until=timezone.now() + timedelta(minutes=1))
    monkeypatch.setattr(intake, "examine", lambda _: pytest.fail("it was examined"))
    assert summary(TAKEOVER)["duplicates"] == 21
