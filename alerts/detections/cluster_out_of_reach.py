"""A cluster that Rolecall could ask refuses to answer: then nothing proves that its audit trail is complete.

Whoever takes Rolecall's account away silences the canaries and the listings, while some events still arrive.
ATT&CK: T1562.012, Disable or Modify Linux Audit System, is the closest.
"""

import json
from datetime import datetime, timedelta

from alerts.detections.detection import Finding

NAME = "cluster_out_of_reach"


def is_lasting(since: datetime | None, now: datetime, limit: timedelta) -> bool:
    """Tell whether nothing could be asked for longer than a restart of an API server takes."""
    return since is not None and now - since > limit


def finding(cluster: str, since: datetime) -> Finding:
    """Return the finding for a cluster that could not be asked since then: one for each time."""
    cause = json.dumps(["out of reach", since.isoformat()])
    return Finding(detection=NAME, cause=cause, title=f"Rolecall can no longer ask {cluster}", event=None)
