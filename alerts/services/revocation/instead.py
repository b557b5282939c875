"""What to do where there is no role or binding that a plan could take away."""

from alerts.models import Alert

_OF_THE_TRAIL = "This alert is about no role or binding: there is nothing to revoke."
_BY_DETECTION = {
    "audit_stream_silent": _OF_THE_TRAIL,
    "audit_data_damaged": _OF_THE_TRAIL,
    "cluster_out_of_reach": _OF_THE_TRAIL,
    "token_issued": (
        "A token cannot be recalled: it works until it expires, or until its service account is deleted. "
        "Delete the account, or take away the bindings that give it something: question 2 names what it may do."
    ),
    "certificate_approved": (
        "A certificate cannot be recalled: it works until it expires, or until the cluster’s certificate authority is "
        "replaced. Take away the bindings of the user and the groups that it names."
    ),
    "powerful_impersonation": (
        "Nothing was made. Take away the permission to impersonate: the role and the binding that allowed it are "
        "named under “Who created it”."
    ),
}
_UNNAMED = "The audit log does not name the object, so nothing can be planned. Look for it on the cluster."


def unplannable(alert: Alert) -> str:
    """Return why nothing of an alert can be planned, and what to do instead."""
    if alert.attempted:
        return "The API server refused the attempt, so nothing was made that could be revoked."
    return _BY_DETECTION.get(alert.detection, _UNNAMED)
