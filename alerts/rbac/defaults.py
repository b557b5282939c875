"""The ClusterRoles that Kubernetes 1.36 ships, as its API server creates them at its first start.

They were read from OpenShift's build of that version, which ships all that upstream's does and a little more: two
roles, and `create endpointslices/restricted` for two controllers. `tests/cluster/test_rbac_live.py` keeps account of
the difference.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from alerts.rbac.objects import Role

VERSION = "1.36"


@cache
def default_roles() -> Mapping[str, Role]:
    """Return the default ClusterRoles by name, aggregated ones with the rules they end up with."""
    return {name: Role.of_manifest(manifest) for name, manifest in default_manifests().items()}


@cache
def default_manifests() -> Mapping[str, dict[str, Any]]:
    """Return the same as manifests, by name."""
    text = files("alerts.rbac").joinpath(f"data/default-roles-{VERSION}.json").read_text(encoding="utf-8")
    return {manifest["metadata"]["name"]: manifest for manifest in json.loads(text)}
