"""What the fuzzer calls with everything it makes up: `benchmarks.fuzz` runs this in an environment that has atheris."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

# It is in no environment that the types are checked in.
atheris: Any = importlib.import_module("atheris")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
with atheris.instrument_imports(include=["alerts.audit"]):
    from alerts.audit import envelope, redaction, salvage
    from alerts.audit.decode import decode
    from alerts.audit.glance import Glance, skim


def _writes(glance: Glance) -> bool:
    return glance.verb != "get"


def look(body: bytes) -> None:
    """Hold what must be true of any body: nothing raises, and the items that went in are events and damaged items."""
    decoded = decode(body)
    items = list(envelope.items(body))
    assert decoded.sound + len(decoded.damaged) == len(items)
    assert decode(body) == decoded
    for event in decoded.events:
        _ = (event.request, event.response, event.dry_run, event.allowed_by, event.name, event.writes_rbac)
        json.dumps(redaction.redacted(event), ensure_ascii=False, allow_nan=False).encode()
    skimmed = skim(body, _writes)
    assert skimmed.decoded.sound + len(skimmed.decoded.damaged) + len(skimmed.routine) >= len(items)
    assert {event.raw for event in skimmed.decoded.events} <= {event.raw for event in decoded.events}
    _salvage(body)


def _salvage(text: bytes) -> None:
    for _, start, stop in salvage.members(text):
        assert 0 <= start <= (len(text) if stop is None else stop) <= len(text)
    assert salvage.depth(text) <= salvage.DEEPEST + 1
    salvage.mend(text).decode()
    try:
        salvage.parse(text)
    except salvage.Unreadable:
        return


if __name__ == "__main__":
    atheris.Setup(sys.argv, look)
    atheris.Fuzz()
