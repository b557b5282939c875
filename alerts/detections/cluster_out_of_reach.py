"""A cluster that Rolecall could ask refuses to answer: then nothing proves that its audit trail is complete.

Whoever takes Rolecall's account away silences the canaries and the listings, while some events still arrive. Whoever
takes away its rights alone silences the listings: every account may create the review that a canary is.
ATT&CK: T1562.012, Disable or Modify Linux Audit System, is the closest.
"""

import json
from datetime import datetime, timedelta

from alerts.detections.detection import Finding

NAME = "cluster_out_of_reach"


def is_lasting(since: datetime | None, now: datetime, limit: timedelta) -> bool:
    """Tell whether nothing could be asked for longer than a restart of an API server takes."""
    return since is not None and now - since > limit


def finding(cluster: str, since: datetime, *, unlisted_only: bool = False) -> Finding:
    """Return the finding for a cluster that since then could not be asked, or just not listed: one for each time."""
    cause = json.dumps(["out of reach", since.isoformat()])
    what = "list the roles and bindings of" if unlisted_only else "ask"
    return Finding(detection=NAME, cause=cause, title=f"Rolecall can no longer {what} {cluster}", event=None)
