"""Every envelope on its whole way: posted to the hook or read from a file, and examined."""

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from alerts import tasks
from alerts.models import Alert, AuditEvent, Batch, Cluster
from alerts.services import inbox, intake
from tests.conftest import DATA

FILES = sorted((DATA / "audit" / "envelopes").iterdir())
# Cut before the answer, which alone holds the uid, they are told apart by the request.
WHOLE = [path for path in FILES if not path.name.startswith("cut-")]


def test_posted_in_every_envelope_a_creation_is_one_alert(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "announce_batch", lambda: None)
    token = cluster.issue_hook_token()
    cluster.save()
    client = Client(headers={"Authorization": f"Bearer {token}"})
    for path in WHOLE:
        assert client.post("/hook/prod-eu", path.read_bytes(), content_type="application/json").status_code == 200
    while batches := inbox.claim(4):
        for batch in batches:
            assert intake.examine(batch).error == ""
    assert Batch.objects.count() == len(WHOLE)
    (alert,) = Alert.objects.all()
    assert alert.title == "ClusterRole metrics-scraper-v2 created"
    # What an API server wrote is the same event wherever it went. Others are: indented; Google's; a log shipper's.
    assert alert.events.count() == AuditEvent.objects.count() == 4


def test_read_from_files_it_is_one_alert_too(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("ingest", *map(str, WHOLE), cluster="prod-eu")
    assert Alert.objects.count() == 1
    assert " 0 damaged items" in capsys.readouterr().out


@pytest.mark.parametrize("path", [path for path in FILES if path not in WHOLE], ids=lambda path: path.name)
def test_a_cut_creation_is_an_alert_and_on_record_as_incomplete(cluster: Cluster, path: Path) -> None:
    call_command("ingest", str(path), cluster="prod-eu", verbosity=0)
    row = Alert.objects.get(detection="cluster_role_created").events.get()
    assert row.incomplete
    assert Batch.objects.get(damaged_count__gt=0).damaged_items.count() == 1


def test_what_google_does_not_say_is_unknown_in_the_row(cluster: Cluster) -> None:
    call_command("ingest", str(DATA / "audit/envelopes/gke-log-entry.json"), cluster="prod-eu")
    row: Any = AuditEvent.objects.get()
    assert (row.groups, row.dry_run) == (None, None)
    assert row.source_ips == ["198.51.100.23"]
