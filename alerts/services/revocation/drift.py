"""What changed on the cluster since the plan before, so that nobody has to compare two plans by eye."""

import difflib
import json
from collections.abc import Iterable
from typing import Any

from alerts.audit.redaction import storable_json
from alerts.models import Revocation
from alerts.services.revocation import targets
from alerts.services.revocation.targets import Manifest, Target

_LINES = 60
# Set anew by every write.
_BOOKKEEPING = ("resourceVersion", "managedFields", "generation")


def drift(before: Revocation | None, now: Iterable[Target]) -> list[dict[str, Any]]:
    """Return for each object of a new plan how it differs from the plan before: `text`, and `lines` of a unified diff.

    Empty where the plan before told of no live objects, or where it was carried out.
    """
    if before is None or before.state == Revocation.State.DONE or before.effects.get("remembered") or not before.plan:
        return []
    known = {target.key: target for target in targets.of(before)}
    found = [_of(known.get(target.key), target) for target in now]
    kept: list[dict[str, Any]] = storable_json([each for each in found if each])
    return kept


def _of(old: Target | None, new: Target) -> dict[str, Any] | None:
    if old is None:
        return {"text": f"{new} is new in the plan.", "lines": []}
    lines = _difference(old.content, new.content)
    if old.uid != new.uid:
        return {"text": f"{new} was deleted and made again.", "lines": lines}
    if lines:
        return {"text": f"{new} was changed.", "lines": lines}
    return None


def _difference(old: Manifest, new: Manifest) -> list[str]:
    lines = difflib.unified_diff(_told(old), _told(new), "planned", "now", lineterm="", n=1)
    return list(lines)[:_LINES]


def _told(manifest: Manifest) -> list[str]:
    metadata = {key: value for key, value in manifest["metadata"].items() if key not in _BOOKKEEPING}
    return json.dumps(manifest | {"metadata": metadata}, indent=2, sort_keys=True).splitlines()
