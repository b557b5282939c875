"""Starts and stops a control plane."""

import csv
import json
import secrets
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.control_plane import binaries, certificates, processes

AUTHORITY = "control-plane-authority"
AUDIT_POLICY = Path(__file__).with_name("audit-policy.yaml")
# What the tests need of the controller manager: aggregation, finalizers and owners, namespaces and their accounts.
CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
)


@dataclass(frozen=True)
class AuditWebhook:
    """Where the API server posts its audit events: the kubeconfig's text, and the authority its system trusts."""

    kubeconfig: str
    certificate_authority: Path
    flags: Sequence[str] = ("--audit-webhook-batch-max-wait=200ms", "--audit-webhook-initial-backoff=1s")


@dataclass
class ControlPlane:
    """A running control plane: its address, its authority, and the tokens of its users."""

    address: str
    certificate_authority: str
    folder: Path
    tokens: dict[str, str] = field(default_factory=dict)
    _events: list[dict[str, Any]] = field(default_factory=list)
    _read: int = 0  # bytes of the audit log

    @property
    def audit_log(self) -> Path:
        """The file of audit events, one JSON object a line, in the order the requests ended."""
        return self.folder / "audit.jsonl"

    def events(self) -> list[dict[str, Any]]:
        """Return the audit events logged so far."""
        if self.audit_log.exists():
            with self.audit_log.open("rb") as log:
                log.seek(self._read)
                for line in log:
                    if line.endswith(b"\n"):  # else it is still being written
                        self._events.append(json.loads(line))
                        self._read += len(line)
        return self._events

    def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body of what the API answers the administrator, or (0, b"") where it does not answer."""
        context = ssl.create_default_context(cadata=self.certificate_authority)
        connection = HTTPSConnection(self.address.removeprefix("https://"), context=context, timeout=5)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.tokens['admin']}"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, HTTPException):
            return 0, b""
        finally:
            connection.close()

    def kubectl(self, *arguments: str) -> str:
        """Return what kubectl prints to the administrator.

        Raises CalledProcessError.
        """
        program = binaries.require("kubectl")
        command = [str(program), f"--kubeconfig={self.kubeconfig()}", f"--cache-dir={self.folder}", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def kubeconfig(self, user: str = "admin") -> Path:
        """Write a kubeconfig for a user, and return its file."""
        return _kubeconfig(
            self.folder / f"{user}.kubeconfig",
            server=self.address,
            authority=self.folder / f"{AUTHORITY}.crt",
            token=self.tokens[user],
        )


def _kubeconfig(path: Path, *, server: str, authority: Path, token: str) -> Path:
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": str(authority)}}],
                "users": [{"name": "u", "user": {"token": token}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    path.chmod(0o600)
    return path


def _write_users(path: Path, tokens: Mapping[str, str], users: Mapping[str, Sequence[str]]) -> None:
    rows = [[tokens[name], name, name, *([",".join(groups)] if groups else [])] for name, groups in users.items()]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    path.chmod(0o600)


def _controllers_ready(plane: ControlPlane) -> bool:
    """Tell whether the aggregated roles are filled, and a namespace has its account."""
    filled, role = plane.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/admin")
    populated, _ = plane.get("/api/v1/namespaces/default/serviceaccounts/default")
    return filled == populated == 200 and bool(json.loads(role).get("rules"))


@contextmanager
def start(
    *,
    users: Mapping[str, Sequence[str]] | None = None,
    audit_policy: Path = AUDIT_POLICY,
    webhook: AuditWebhook | None = None,
    controllers: bool = True,
) -> Iterator[ControlPlane]:
    """Run a control plane while the context lasts.

    `users` are known by token beside "admin" (of system:masters), each with its groups; the tokens are in the result.
    Raises BinariesMissing, or NotStarted with the end of the log of the program that failed.
    """
    programs = {name: binaries.require(name) for name in ("etcd", "kube-apiserver", "kube-controller-manager")}
    folder = Path(tempfile.mkdtemp(prefix="control-plane-"))
    everybody = {"admin": ["system:masters"], **(users or {})}
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        authority = certificates.Authority(folder, AUTHORITY)
        port, etcd_port = processes.free_port(), processes.free_port()
        plane = ControlPlane(
            address=f"https://127.0.0.1:{port}",
            certificate_authority=authority.pem,
            folder=folder,
            tokens={name: secrets.token_urlsafe(24) for name in everybody},
        )
        _write_users(folder / "tokens.csv", plane.tokens, everybody)
        stack.enter_context(
            processes.running(programs["etcd"], *_etcd_flags(folder, etcd_port), log=folder / "etcd.log")
        )
        api_server = stack.enter_context(
            processes.running(
                programs["kube-apiserver"],
                *_api_server_flags(folder, authority, port, etcd_port),
                f"--audit-policy-file={audit_policy}",
                *_webhook_flags(folder, webhook),
                log=folder / "kube-apiserver.log",
                environment={"SSL_CERT_FILE": str(webhook.certificate_authority)} if webhook else {},
            )
        )
        processes.await_ready(api_server, lambda: plane.get("/readyz")[0] == 200, folder / "kube-apiserver.log")
        if controllers:
            manager = stack.enter_context(_controller_manager(programs["kube-controller-manager"], plane))
            processes.await_ready(manager, lambda: _controllers_ready(plane), folder / "kube-controller-manager.log")
        yield plane


def _etcd_flags(folder: Path, port: int) -> list[str]:
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{port}",
        f"--advertise-client-urls=http://127.0.0.1:{port}",
        f"--listen-peer-urls=http://127.0.0.1:{processes.free_port()}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _api_server_flags(folder: Path, authority: certificates.Authority, port: int, etcd_port: int) -> list[str]:
    server = authority.sign_server("kube-apiserver")
    accounts_key = certificates.signing_key(folder / "service-accounts.key")
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--tls-cert-file={server.certificate}",
        f"--tls-private-key-file={server.key}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={accounts_key}",
        f"--service-account-key-file={accounts_key}",
        "--service-cluster-ip-range=10.96.0.0/24",
        "--enable-priority-and-fairness=false",
        "--profiling=false",
        f"--audit-log-path={folder / 'audit.jsonl'}",
    ]


def _webhook_flags(folder: Path, webhook: AuditWebhook | None) -> list[str]:
    if webhook is None:
        return []
    config = folder / "audit-webhook.kubeconfig"
    config.write_text(webhook.kubeconfig)
    config.chmod(0o600)
    return [f"--audit-webhook-config-file={config}", *webhook.flags]


@contextmanager
def _controller_manager(program: Path, plane: ControlPlane) -> Iterator[subprocess.Popen[bytes]]:
    with processes.running(
        program,
        f"--kubeconfig={plane.kubeconfig()}",
        f"--controllers={','.join(CONTROLLERS)}",
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={plane.folder / 'service-accounts.key'}",
        "--leader-elect=false",
        "--secure-port=0",
        "--profiling=false",
        log=plane.folder / "kube-controller-manager.log",
    ) as process:
        yield process
