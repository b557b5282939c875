"""No secret that passes through ends in the database in clear: neither in a row nor in a stored body."""

import json
from typing import Any

import pytest
from django.apps import apps

from alerts import detections
from alerts.detections import Finding
from alerts.models import AuditEvent, Batch, Cluster, DamagedItem
from tests.recorded import gathered, take_in
from tests.unit.audit.events import as_bytes, creation, event_list, role

SECRET = "hunter2-0123456789"
BEARER = f"curl/8 Authorization: Bearer {SECRET}"


def everything() -> bytes:
    """Return all that is in the tables of ours, one value after the other."""
    rows = (row for model in apps.get_app_config("alerts").get_models() for row in model._default_manager.values_list())
    return b"\n".join(
        bytes(value) if isinstance(value, bytes | memoryview) else json.dumps(value, default=str).encode()
        for row in rows
        for value in row
    )


def event(number: int, **changes: Any) -> dict[str, Any]:
    return creation(f"r{number}", auditID=str(number), userAgent=BEARER) | changes


def test_secrets_are_in_no_row_and_no_body(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # As if every event mattered: then all of them have rows.
    examine = detections.examine
    monkeypatch.setattr(
        detections,
        "examine",
        lambda each, known: [
            *examine(each, known),
            Finding("test", each.sha256, "Test", each, "ClusterRole", "", "r", ""),
        ],
    )
    monkeypatch.setattr(detections, "may_matter", lambda _: True)
    secret = {"kind": "Secret", "data": {"a": SECRET}, "stringData": {"b": SECRET}}
    settings = {"kind": "ConfigMap", "data": {"a": SECRET}}
    about = {"resource": "secrets", "namespace": "web", "name": "db", "apiVersion": "v1"}
    events = [
        event(1),
        event(2, objectRef=about, requestObject=secret, responseObject=secret),
        event(3, objectRef=about, verb="patch", requestObject=[{"op": "add", "path": "/data/a", "value": SECRET}]),
        event(4, objectRef=about | {"resource": "configmaps"}, responseObject=settings),
        event(5, requestURI=f"/api/v1/namespaces/web/pods/p/exec?command=curl&command=--token={SECRET}"),
        event(6, responseObject={"kind": "TokenRequest", "status": {"token": SECRET}}),
        event(9, responseObject=role("r9", annotations={"note": BEARER})),
        event(7, responseObject={"kind": "SecretList", "items": [{"data": {"a": SECRET}}]}),
    ]  # fmt: skip
    cut = as_bytes(event(8, objectRef=about, requestObject=secret, responseObject=secret))
    alerts = take_in(cluster, event_list(*events, cut[: cut.rindex(b"stringData")]))
    assert AuditEvent.objects.count() == 9
    for alert in alerts[:2]:
        gathered(alert)
    assert SECRET.encode() not in everything()
    assert Batch.objects.count() == DamagedItem.objects.count() == 1
