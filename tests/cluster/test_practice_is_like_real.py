"""Every scenario sent to both clusters: same codes, same answers, same audit events."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.conftest import APIServer
from tests.cluster.scenarios import SCENARIOS, Step

pytestmark = pytest.mark.control_plane

# What two clusters, or two runs, never have in common
_MOVING = {
    "uid": "UID",
    "resourceVersion": "VERSION",
    "creationTimestamp": "TIME",
    "deletionTimestamp": "TIME",
    "time": "TIME",
    "requestReceivedTimestamp": "TIME",
    "stageTimestamp": "TIME",
    "token": "TOKEN",
    "expirationTimestamp": "TIME",
}
_ABSENT = "nothing"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def settled(value: Any) -> Any:
    """Return an answer or event without what is different each time."""
    if isinstance(value, dict):
        return {
            key: _MOVING[key] if key in _MOVING and isinstance(item, str) else settled(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [settled(item) for item in value]
    if isinstance(value, str):
        text = re.sub(
            r"(ResourceVersion in (?:the precondition|record) )\(\d+\)", r"\1(VERSION)", _UUID.sub("UID", value)
        )
        return re.sub(r"\bmade-[a-z0-9]{5}\b", "made-NAME", text)
    return value


class Sender:
    """Sends a scenario's steps, remembering the objects it was shown."""

    def __init__(self, api_server: APIServer, scenario: str) -> None:
        self._api_server, self._scenario = api_server, scenario
        self._seen: dict[str, dict[str, str]] = {}

    def send(self, number: int, step: Step) -> dict[str, Any]:
        """Return code, answer and audit event."""
        audit_id = f"{self._scenario} {number}"
        body = None if step.body is None else self._filled(json.dumps(step.body))
        known = step.user is None or step.user in self._api_server.tokens
        api_server = self._api_server
        if not known:
            api_server.tokens[step.user or ""] = "a token that nobody has"
        code, answer = api_server.ask(
            step.method, step.path, body, user=step.user, content_type=step.content_type, audit_id=audit_id
        )
        metadata = answer.get("metadata", {})
        if "uid" in metadata and "resourceVersion" in metadata:
            self._seen[metadata["name"]] = metadata
        return {"code": code, "answer": settled(answer), "event": _comparable(api_server.event(audit_id))}

    def _filled(self, text: str) -> str:
        for name, metadata in self._seen.items():
            text = text.replace(f"UID({name})", metadata["uid"])
            text = text.replace(f"VERSION({name})", metadata["resourceVersion"])
        return text


def _comparable(event: dict[str, Any]) -> Any:
    annotations = {
        key: value for key, value in event.get("annotations", {}).items() if key.startswith("authorization.k8s.io/")
    }
    return settled(event | ({"annotations": annotations} if annotations else {}))


def differences(practised: Any, expected: Any, place: str) -> Iterator[str]:
    """Yield where two values differ, and how."""
    if isinstance(practised, dict) and isinstance(expected, dict):
        for key in sorted({*practised, *expected}):
            yield from differences(practised.get(key, _ABSENT), expected.get(key, _ABSENT), f"{place}.{key}")
    elif isinstance(practised, list) and isinstance(expected, list) and len(practised) == len(expected):
        for index, pair in enumerate(zip(practised, expected, strict=True)):
            yield from differences(*pair, f"{place}[{index}]")
    elif practised != expected:
        yield f"{place}: {practised!r} instead of {expected!r}"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_both_clusters_answer_and_record_alike(scenario: str, practice_api_server: APIServer, real: APIServer) -> None:
    practising, truly = Sender(practice_api_server, scenario), Sender(real, scenario)
    found = [
        difference
        for number, step in enumerate(SCENARIOS[scenario], 1)
        for difference in differences(
            practising.send(number, step), truly.send(number, step), f"{number} {step.method} {step.path}"
        )
    ]
    assert not found, "\n".join(found)
