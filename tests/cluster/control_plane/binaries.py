"""Where the control plane's programs are."""

import os
import shutil
from pathlib import Path

BUILT = Path(__file__).resolve().parents[3] / ".control-plane"
NEEDED = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "rbac-oracle")


class BinariesMissing(Exception):
    """A program of the control plane is not on this machine."""


def find(name: str) -> Path | None:
    """Return a program: from KUBEBUILDER_ASSETS, else built by `make control-plane`, else (etcd) the system's."""
    folders = [os.environ.get("KUBEBUILDER_ASSETS", ""), str(BUILT), os.environ["PATH"] if name == "etcd" else ""]
    found = shutil.which(name, path=os.pathsep.join(folder for folder in folders if folder))
    return Path(found) if found else None


def missing() -> list[str]:
    """Return the names of the programs that are not here."""
    return [name for name in NEEDED if find(name) is None]


def require(name: str) -> Path:
    """Return a program.

    Raises BinariesMissing.
    """
    found = find(name)
    if found is None:
        raise BinariesMissing(f"{name} is missing: `make control-plane` brings it, or set KUBEBUILDER_ASSETS.")
    return found
