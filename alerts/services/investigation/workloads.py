"""What a workload may do to its node and cluster, read from the pod it describes."""

from collections.abc import Iterator, Mapping
from typing import Any

# One of these gives a container the node itself. Sources: capabilities(7), and the Baseline pod security standard,
# which refuses every host namespace, host path and privileged container.
_DANGEROUS_CAPABILITIES = frozenset(
    {"ALL", "SYS_ADMIN", "SYS_PTRACE", "SYS_MODULE", "DAC_READ_SEARCH", "NET_ADMIN", "BPF"}
)
_SHOWN = 120


def pod_of(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the pod spec inside a Pod, CronJob or anything with a pod template, or an empty mapping."""
    spec = _mapping(manifest.get("spec"))
    if "jobTemplate" in spec:
        spec = _mapping(_mapping(spec["jobTemplate"]).get("spec"))
    if "template" in spec:
        spec = _mapping(_mapping(spec["template"]).get("spec"))
    return spec


def dangers(manifest: Mapping[str, Any]) -> list[str]:
    """Return what lets the workload out of its container, in people's words, the worst first."""
    pod = pod_of(manifest)
    found = []
    if any(_mapping(container.get("securityContext")).get("privileged") is True for container in _containers(pod)):
        found.append("privileged")
    found += [f"mounts the host’s {path}" for path in _host_paths(pod)]
    for field, words in (
        ("hostPID", "sees the host’s processes"),
        ("hostNetwork", "uses the host’s network"),
        ("hostIPC", "shares the host’s memory"),
    ):
        if pod.get(field) is True:
            found.append(words)
    added = sorted({capability for container in _containers(pod) for capability in _capabilities(container)})
    return [*found, *(f"adds the capability {capability}" for capability in added)]


def traits(manifest: Mapping[str, Any]) -> list[str]:
    """Return what else is worth knowing of the workload: its schedule, account, images and commands."""
    pod = pod_of(manifest)
    found = []
    schedule = _mapping(manifest.get("spec")).get("schedule")
    if isinstance(schedule, str):
        found.append(f"at {schedule}")
    account = pod.get("serviceAccountName")
    if isinstance(account, str) and account:
        found.append(f"runs as {account}")
    for container in _containers(pod):
        words = [word for part in ("command", "args") for word in _list(container.get(part)) if isinstance(word, str)]
        command = " ".join(words)
        image = container.get("image")
        found.append(f"image {image}" + (f", command “{_short(command)}”" if command else ""))
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _containers(pod: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        yield from (container for container in _list(pod.get(kind)) if isinstance(container, Mapping))


def _host_paths(pod: Mapping[str, Any]) -> list[str]:
    volumes = (_mapping(volume).get("hostPath") for volume in _list(pod.get("volumes")))
    return sorted({str(_mapping(path).get("path", "")) for path in volumes if isinstance(path, Mapping)})


def _capabilities(container: Mapping[str, Any]) -> list[str]:
    added = _mapping(_mapping(container.get("securityContext")).get("capabilities")).get("add")
    return [
        name for name in _list(added) if isinstance(name, str) and name.removeprefix("CAP_") in _DANGEROUS_CAPABILITIES
    ]


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
