"""Whatever comes, in whatever it is wrapped: items in are events and damaged items, and nothing raises."""

import base64
import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alerts.audit import redaction
from alerts.audit.decode import Decoded, decode
from alerts.audit.log import Log, bodies
from tests.conftest import DATA
from tests.unit.audit.events import as_bytes, creation, reading

FILES = [
    path.read_bytes() for folder in ("envelopes", "hostile") for path in sorted((DATA / "audit" / folder).iterdir())
]
KEYS = [
    "items", "records", "Records", "logEvents", "events", "awslogs", "kinesis", "properties", "data", "message", "log",
    "protoPayload", "category", "messageType", "logStream", "logStreamName", "timestamp", "time", "serviceName",
    "methodName", "resourceName", "authenticationInfo", "requestMetadata", "status", "request", "response", "labels",
    "operation", "code", "@type", "auditID", "verb", "user", "objectRef", "metadata", "kind",
]  # fmt: skip
TEXTS = ["k8s.io", "io.k8s.core.v1.pods.get", "core/v1/pods/x", "kube-audit", "H4sIAAAA", "eyJh", "{", "[", '{"a":1}']

# One document in one; several bodies or documents in one.
ROUND_ONE: list[Callable[[bytes], bytes]] = [
    lambda body: json.dumps({"message": body.decode()}).encode(),
    lambda body: json.dumps({"log": body.decode() + "\n", "stream": "stdout"}, indent=1).encode(),
    lambda body: json.dumps({"category": "kube-audit", "properties": {"log": body.decode()}}).encode(),
    lambda body: json.dumps({"data": base64.b64encode(gzip.compress(body)).decode()}).encode(),
    lambda body: json.dumps({"message": {"data": base64.b64encode(body).decode()}}).encode(),
]  # fmt: skip
ROUND_MANY: list[Callable[[list[bytes]], bytes]] = [
    lambda each: b"[" + b",".join(each) + b"]",
    lambda each: b'{"kind":"EventList","items":[' + b",".join(each) + b"]}",
    lambda each: b'{ "records": [\n' + b",\n".join(each) + b"\n] }",
    lambda each: b'{"logStream":"kube-apiserver-audit-1","logEvents":[' + b",".join(each) + b"]}",
]  # fmt: skip

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(TEXTS) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=25,
)
quietly = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def used(decoded: Decoded) -> Decoded:
    """Do with every event what the worker does."""
    for event in decoded.events:
        _ = (
            event.request,
            event.response,
            event.dry_run,
            event.allowed_by,
            event.name,
            event.sha256,
            event.writes_rbac,
        )
        json.dumps(redaction.redacted(event), ensure_ascii=False, allow_nan=False).encode()
    return decoded


@given(st.data(), st.integers(0, 5))
@quietly
def test_events_come_out_of_every_nest_of_wrappings_whole_and_in_order(data: st.DataObject, count: int) -> None:
    documents = [as_bytes(creation(f"r{number}", auditID=str(number))) for number in range(count)]
    for _ in range(data.draw(st.integers(0, 2))):
        documents = [data.draw(st.sampled_from(ROUND_ONE))(each) for each in documents]
    body = data.draw(st.sampled_from(ROUND_MANY))(documents)
    for _ in range(data.draw(st.integers(0, 2))):
        body = data.draw(st.sampled_from(ROUND_ONE))(body)
    body = gzip.compress(body) if data.draw(st.booleans()) else body
    for decoded in (decode(body), *(decode(each) for each in [b"".join(bodies(Log([body])))] if count)):
        assert [event.audit_id for event in decoded.events] == [str(number) for number in range(count)]
        assert not decoded.damaged


@given(st.lists(values, min_size=1, max_size=3))
@quietly
def test_no_document_made_of_the_fields_of_wrappings_raises(documents: list[Any]) -> None:
    used(decode(b"\n".join(json.dumps(document).encode() for document in documents)))


@given(st.sampled_from(FILES), st.data())
@quietly
def test_a_file_cut_and_flipped_anywhere_never_raises(content: bytes, data: st.DataObject) -> None:
    body = bytearray(content[: data.draw(st.integers(1, len(content)))])
    for _ in range(data.draw(st.integers(0, 5))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    used(decode(bytes(body)))
    assert list(bodies(Log([bytes(body)]))) is not None


@pytest.mark.parametrize("layer", ROUND_ONE)
@given(length=st.integers(1, 1500))
@settings(quietly, max_examples=25)
def test_a_wrapping_cut_anywhere_loses_nothing_in_silence(layer: Callable[[bytes], bytes], length: int) -> None:
    whole = layer(as_bytes(creation()))
    decoded = used(decode(layer(as_bytes(reading("a"))) + b"\n" + whole[:length]))
    assert next(event.audit_id for event in decoded.events if not event.salvaged) == "a"
    # Of a cut gzip two things are said: that its compression is cut, and that the event is.
    assert decoded.sound + bool(decoded.damaged) == 2


@given(st.lists(st.tuples(st.integers(28, 1400), st.booleans()), min_size=2, max_size=12))
@quietly
def test_every_line_of_a_log_is_an_event_or_a_damaged_item_wherever_lines_are_cut(cuts: list[tuple[int, bool]]) -> None:
    lines = [as_bytes(creation(f"r{number}", auditID=str(number))) for number in range(len(cuts))]
    body = b"\n".join(line[:length] if cut else line for line, (length, cut) in zip(lines, cuts, strict=True))
    for decoded in (decode(body), *(decode(each) for each in bodies(Log([body])))):
        whole = [event.audit_id for event in used(decoded).events if not event.salvaged]
        assert whole == [
            str(number) for number, (length, cut) in enumerate(cuts) if not cut or length >= len(lines[number])
        ]
        assert decoded.sound + len(decoded.damaged) == len(cuts)
