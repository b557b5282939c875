import pytest

from alerts.models import Cluster
from alerts.services import connection
from alerts.services.connection import NotConnected


@pytest.fixture
def connected(cluster: Cluster) -> Cluster:
    cluster.api_address, cluster.readable = "https://10.0.0.1:6443", True
    cluster.set_api_token("token")
    return cluster


def test_a_connected_cluster_has_an_api(connected: Cluster) -> None:
    with connection.connect(connected) as api:
        assert api.address == "https://10.0.0.1:6443"


@pytest.mark.parametrize(
    ("lacking", "problem"),
    [
        ({"api_address": ""}, "no API address"),
        ({"readable": False}, "may not use"),
        ({"sealed_api_token": None}, "no token"),
        ({"sealed_api_token": b"sealed by a key long gone"}, "CREDENTIAL_KEYS"),
        ({"api_address": "ftp://10.0.0.1"}, "is a URL such as"),
    ],
)
def test_what_is_lacking_is_said(connected: Cluster, lacking: dict[str, object], problem: str) -> None:
    for field, value in lacking.items():
        setattr(connected, field, value)
    with pytest.raises(NotConnected, match=problem):
        connection.connect(connected)
