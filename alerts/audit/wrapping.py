"""What clouds and log shippers put around audit events, taken off one layer at a time.

Which layer it is shows in the names of a document's own fields. Of an audit event those are the API server's, so
nothing that somebody wrote into a request makes it look like a wrapping.
"""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from alerts.audit import cloud_logging, salvage

type Value = Raw | UnsetType

NOT_BASE64 = "It should be base64, and is not."

# What Amazon EKS writes besides the audit log, each to a stream of its own.
_OTHER_STREAMS = (
    "authenticator-", "kube-apiserver-", "kube-controller-manager-", "kube-scheduler-", "cloud-controller-manager-",
)  # fmt: skip
_AUDIT_STREAM = "kube-apiserver-audit"
_AUDIT_CATEGORIES = frozenset({"kube-audit", "kube-audit-admin"})


class _Document(Struct, gc=False, rename="camel"):
    """The fields by which wrappings are known, and those that tell what to do with them."""

    # of audit events themselves
    audit_id: Value = field(name="auditID", default=UNSET)
    verb: Value = UNSET
    # lists of more
    items: Value = UNSET
    records: Value = UNSET  # Azure's diagnostic records; Amazon Data Firehose
    lambda_records: Value = field(name="Records", default=UNSET)  # Kinesis to Lambda
    log_events: Value = UNSET  # CloudWatch Logs, subscription
    events: Value = UNSET  # CloudWatch Logs, FilterLogEvents
    # one inside
    awslogs: Value = UNSET  # CloudWatch Logs to Lambda
    kinesis: Value = UNSET
    properties: Value = UNSET  # Azure
    data: Value = UNSET  # base64
    message: Value = UNSET  # CloudWatch Logs and most shippers: text; Pub/Sub: an object
    log: Value = UNSET  # Azure, container logs
    # Google Cloud Logging
    proto_payload: Value = UNSET
    # what else the record says
    category: Value = UNSET
    message_type: Value = UNSET
    log_stream: Value = UNSET
    log_stream_name: Value = UNSET
    timestamp: Value = UNSET
    time: Value = UNSET


@dataclass(frozen=True, slots=True)
class Content:
    """What was inside a wrapping: a body of its own, or something that should have been one and what is wrong with it.

    `at` is when the wrapping says that it was logged.
    """

    body: bytes
    at: datetime | None = None
    problem: str = ""


_decoder = msgspec.json.Decoder(_Document)
_names = {each.encode_name: each.name for each in msgspec.structs.fields(_Document)}
_lists = ("items", "records", "lambda_records", "log_events", "events")


def contents(document: bytes) -> list[Content] | None:
    """Return what a wrapping holds, or None where the document is none. Records of other logs hold nothing."""
    found = _read(document)
    if found.audit_id is not UNSET or found.verb is not UNSET:
        return None
    if found.proto_payload is not UNSET:
        return _logged_by_google(document)
    if _concerns_others(found):
        return []
    at = _time(found)
    for name in _lists:
        value = getattr(found, name)
        if value is not UNSET and bytes(value).startswith(b"["):
            return [Content(bytes(value), at)]
        if value is not UNSET and bytes(value) == b"null":
            return []
    inner = list(_inner(found, at))
    return inner or None


def _read(document: bytes) -> _Document:
    """Return the fields, of a damaged document as far as they go."""
    try:
        return _decoder.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    if not document.startswith(b"{"):
        return _Document()
    return _Document(
        **{
            _names[key]: Raw(document[start:stop])
            for key, start, stop in salvage.members(document)
            if key in _names
        }
    )  # fmt: skip


def _concerns_others(found: _Document) -> bool:
    stream = _string(found.log_stream) or _string(found.log_stream_name) or ""
    return (
        (stream.startswith(_OTHER_STREAMS) and not stream.startswith(_AUDIT_STREAM))
        or (found.category is not UNSET and _string(found.category) not in _AUDIT_CATEGORIES)
        or _string(found.message_type) == "CONTROL_MESSAGE"
    )


def _string(value: Value) -> str | None:
    return None if value is UNSET else salvage.string(bytes(value))


def _inner(found: _Document, at: datetime | None) -> Iterator[Content]:
    for value in (found.awslogs, found.kinesis, found.properties, found.message, found.log):
        if value is UNSET:
            continue
        text = _string(value)
        content = bytes(value) if text is None else text.encode("utf-8", "replace")
        if text is not None or content.startswith(b"{"):
            yield Content(content, at)
            return
    text = _string(found.data)
    if text is not None:
        yield _decoded(text, at)


def _decoded(text: str, at: datetime | None) -> Content:
    try:
        return Content(base64.b64decode(text), at)
    except (binascii.Error, ValueError):
        return Content(text.encode("utf-8", "replace"), at, NOT_BASE64)


def _time(found: _Document) -> datetime | None:
    """Return when it was logged: CloudWatch counts milliseconds, Azure writes RFC 3339."""
    for value in (found.timestamp, found.time):
        if value is UNSET:
            continue
        try:
            return msgspec.json.decode(bytes(value), type=cloud_logging.Time)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
        try:
            return datetime.fromtimestamp(msgspec.json.decode(bytes(value), type=int) / 1000, UTC)
        except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, ValueError, OSError):
            continue
    return None


def _logged_by_google(document: bytes) -> list[Content]:
    problem = ""
    try:
        entry: Any = salvage.parse(document)
    except salvage.Unreadable as error:
        entry, problem = salvage.readable(document), str(error)
    if not cloud_logging.is_audit(entry):
        return []
    try:
        return [Content(cloud_logging.event_of(entry), problem=problem)]
    except salvage.Unreadable as error:
        return [Content(document, problem=problem or str(error))]
