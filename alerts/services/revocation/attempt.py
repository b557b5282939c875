"""One step of a plan, done or rehearsed."""

from alerts.cluster.api import ClusterAPI, Deletion
from alerts.services.revocation.targets import Target

# What the Audit-ID of every call of ours begins with. Anybody can choose the same: it identifies nobody by itself.
AUDIT_ID = "rolecall-"
UNDO = f"{AUDIT_ID}undo-"


def attempt(api: ClusterAPI, target: Target, *, audit_id: str, dry_run: bool = False) -> Deletion | None:
    """Do to the very object that was planned what the plan says, or rehearse it.

    Returns what a deletion came to, None for a role from which something was taken. Raises ClusterError.
    """
    if target.action == "delete":
        return api.delete(
            target.reference,
            uid=target.uid,
            resource_version=target.resource_version or None,
            dry_run=dry_run,
            audit_id=audit_id,
        )
    api.patch(
        target.reference,
        target.merge,
        uid=target.uid,
        resource_version=target.resource_version,
        dry_run=dry_run,
        audit_id=audit_id,
    )
    return None
