"""The way to a cluster's API, where the cluster has one."""

from collections.abc import Callable

from alerts.cluster.api import ClusterAPI
from alerts.cluster.errors import AddressRefused
from alerts.models import Cluster
from alerts.models.credential import CredentialLost


class NotConnected(Exception):
    """Rolecall cannot talk to this cluster; the text is the sentence people see."""


def connect(cluster: Cluster) -> ClusterAPI:
    """Return the API of a cluster. No request is made yet; close it, or use it as a context manager.

    Raises NotConnected.
    """
    if not cluster.api_address:
        raise NotConnected(f"Rolecall has no API address for cluster {cluster.name}.")
    if not (cluster.readable or cluster.revocable):
        raise NotConnected(f"Rolecall may not use the API of cluster {cluster.name}.")
    return _api(cluster, cluster.api_token)


def connect_restorer(cluster: Cluster) -> ClusterAPI:
    """Return the API of a cluster as the account that may put back what was revoked.

    Raises NotConnected.
    """
    if not cluster.restorable:
        raise NotConnected(f"Rolecall has no account that may restore on cluster {cluster.name}.")
    return _api(cluster, cluster.restorer_token)


def _api(cluster: Cluster, read_token: Callable[[], str]) -> ClusterAPI:
    try:
        token = read_token()
        if not token:
            raise NotConnected(f"Rolecall has no token for the API of cluster {cluster.name}.")
        return ClusterAPI(
            cluster.api_address,
            token,
            cluster.certificate_authority,
            private_address_allowed=cluster.private_address_allowed,
        )
    except (CredentialLost, AddressRefused) as error:
        raise NotConnected(str(error)) from error
