"""The clusters that tests talk to: a real control plane, and the practice cluster that has to behave like it."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
import yaml

from alerts.cluster.api import ClusterAPI
from alerts.cluster.kinds import Manifest
from alerts.cluster.practice import server
from alerts.models import Cluster
from tests.cluster.control_plane import plane
from tests.cluster.control_plane.plane import ControlPlane

# Known to both clusters; all they may do is what a test grants them.
USERS = {"jane": ["testers"], "mallory": [], "nobody": [], "restorer": [], "deployed": []}
DEPLOYED = Path(__file__).parents[2] / "deploy" / "rbac"
NAMESPACE = "contract"
REAL = pytest.param("real", marks=pytest.mark.control_plane)


@dataclass(frozen=True)
class APIServer:
    """An API server under test, real or for practice."""

    address: str
    certificate_authority: str
    tokens: dict[str, str]
    events: Callable[[], list[Manifest]]
    pool: urllib3.PoolManager

    def client(self, user: str = "admin", **options: Any) -> ClusterAPI:
        """Return our client, as one of the users."""
        return ClusterAPI(
            self.address, self.tokens[user], self.certificate_authority, private_address_allowed=True, **options
        )

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: str | None = "admin",
        content_type: str = "application/json",
        audit_id: str = "",
        accept: str = "",
    ) -> tuple[int, Any]:
        """Return code and answer to a bare request; a user of None sends no token."""
        headers = {"Content-Type": content_type, "User-Agent": "contract/1"}
        if user is not None:
            headers["Authorization"] = f"Bearer {self.tokens[user]}"
        if accept:
            headers["Accept"] = accept
        if audit_id:
            headers["Audit-ID"] = audit_id
        sent = body if isinstance(body, str | bytes | None) else json.dumps(body)
        answer = self.pool.request(method, self.address + path, body=sent, headers=headers, retries=False)
        return answer.status, json.loads(answer.data)

    def event(self, audit_id: str) -> Manifest:
        """Return the audit event of the request that was sent with this ID: it is logged a moment after the answer."""
        deadline = time.monotonic() + 10
        while True:
            found = [event for event in self.events() if event["auditID"] == audit_id]
            if found or time.monotonic() > deadline:
                return found[-1]
            time.sleep(0.01)


def give(api_server: APIServer, name: str, *, to: str) -> None:
    """Give a user what deploy/rbac/NAME.yaml gives an account of ours; given again it changes nothing."""
    path = "/apis/rbac.authorization.k8s.io/v1/"
    subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": to}
    for manifest in yaml.safe_load_all((DEPLOYED / f"{name}.yaml").read_text()):
        if manifest["kind"] == "ClusterRole":
            made = manifest | {"metadata": {"name": f"contract-{name}"}}
        elif manifest["kind"] == "ClusterRoleBinding":
            role = manifest["roleRef"] | {"name": f"contract-{name}"}
            made = manifest | {"metadata": {"name": f"contract-{name}"}, "roleRef": role, "subjects": [subject]}
        else:
            continue
        assert api_server.ask("POST", f"{path}{manifest['kind'].lower()}s", made)[0] in {201, 409}


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """A real control plane, for the whole session. Tests that use it carry the mark "control_plane"."""
    with plane.start(users=USERS) as running:
        yield running


@contextmanager
def api_server_of(running: ControlPlane) -> Iterator[APIServer]:
    """Return the API server of a control plane, for as long as the context lasts."""
    with urllib3.PoolManager(ca_certs=str(running.folder / f"{plane.AUTHORITY}.crt")) as pool:
        yield APIServer(running.address, running.certificate_authority, running.tokens, running.events, pool)


@pytest.fixture(scope="session")
def real(control_plane: ControlPlane) -> Iterator[APIServer]:
    with api_server_of(control_plane) as api_server:
        api_server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        yield api_server


@pytest.fixture(scope="session")
def practice_api_server() -> Iterator[APIServer]:
    with ExitStack() as stack:
        running = stack.enter_context(server.running())
        pool = stack.enter_context(urllib3.PoolManager())
        tokens = {name: running.token_for(name, groups) for name, groups in USERS.items()}
        api_server = APIServer(
            running.address, "", tokens | {"admin": running.admin_token}, lambda: list(running.events), pool
        )
        api_server.ask("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        yield api_server


@pytest.fixture(params=["practice", REAL])
def api_server(request: pytest.FixtureRequest) -> APIServer:
    """Each test that uses this runs against the practice cluster and against a real one."""
    chosen: APIServer = request.getfixturevalue("real" if request.param == "real" else "practice_api_server")
    return chosen


@pytest.fixture
def admin(api_server: APIServer) -> Iterator[ClusterAPI]:
    with api_server.client() as api:
        yield api


@pytest.fixture
def connected(cluster: Cluster, api_server: APIServer) -> Cluster:
    """The cluster as Rolecall knows it, with an account that may do what deploy/rbac gives it and nothing else."""
    for name in ("reader", "revoker"):
        give(api_server, name, to="deployed")
    cluster.api_address = api_server.address
    cluster.certificate_authority = api_server.certificate_authority
    cluster.readable = cluster.revocable = cluster.private_address_allowed = True
    cluster.set_api_token(api_server.tokens["deployed"])
    cluster.save()
    return cluster
