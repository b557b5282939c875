"""The kubectl commands that do by hand what Rolecall does itself, safe to paste whatever an object is called.

RBAC names may begin with dashes (a role called `--all`), and hold quotes, line breaks or control characters that a
terminal acts on. So objects are addressed by percent-encoded URL wherever kubectl can, options are sent as ASCII JSON,
and what is left is quoted for the shell.
"""

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from alerts.audit.visible import visible
from alerts.cluster.kinds import Manifest, ObjectReference
from alerts.cluster.manifests import restorable


@dataclass(frozen=True, slots=True)
class Target:
    """An object to act on, pinned to its uid and resourceVersion as far as they are known."""

    reference: ObjectReference
    uid: str = ""
    resource_version: str = ""

    @property
    def pins(self) -> dict[str, str]:
        """The preconditions of a delete."""
        known = {"uid": self.uid, "resourceVersion": self.resource_version}
        return {key: value for key, value in known.items() if value}


@dataclass(frozen=True, slots=True)
class Section:
    """Commands that belong together, in the order they are to be run."""

    title: str
    commands: tuple[str, ...]


def revoke(targets: Sequence[Target]) -> tuple[Section, ...]:
    """Return the commands that back up, rehearse, delete and verify, in the order of the targets."""
    return (
        backup(targets),
        Section("Rehearse: changes nothing", tuple(_delete(target, dry_run=True) for target in targets)),
        Section("Delete", tuple(_delete(target, dry_run=False) for target in targets)),
        verify_gone(targets),
    )


def contain(target: Target, merge: Manifest) -> tuple[Section, ...]:
    """Return the commands that back up a role, rehearse a merge patch such as `{"rules": []}`, apply and verify it."""
    return (
        backup([target]),
        Section("Rehearse: changes nothing", (_patch(target, merge, dry_run=True),)),
        Section("Contain", (_patch(target, merge, dry_run=False),)),
        Section("Verify", (f"kubectl get --raw {target.reference.path}",)),
    )


def backup(targets: Iterable[Target]) -> Section:
    """Return the commands that save each object as the API serves it, in numbered files of the current directory."""
    commands = (
        f"kubectl get --raw {target.reference.path} > {number:02}-{target.reference.kind.lower()}.json"
        for number, target in enumerate(targets, 1)
    )
    return Section("Back up", tuple(commands))


def verify_gone(targets: Iterable[Target]) -> Section:
    """Return the commands that ask for each object again; every one has to answer NotFound."""
    commands = tuple(f"kubectl get --raw {target.reference.path}" for target in targets)
    return Section("Verify: each has to answer NotFound", commands)


def restore(manifests: Iterable[Manifest]) -> Section:
    """Return the commands that create saved objects again, to be given roles before the bindings to them."""
    return Section("Restore", tuple(f"{_pipe(restorable(manifest))} | kubectl create -f -" for manifest in manifests))


def find_bindings(role: ObjectReference) -> Section:
    """Return the commands that list every binding to a role, for somebody who cannot see our inventory."""
    chosen = f'.items[] | select(.roleRef.kind=="{role.kind}" and .roleRef.name==$name)'
    jq = f"jq -ar --arg name {quote(role.name)} '{chosen} | [.kind, .metadata.namespace, .metadata.name] | @json'"
    scope = f"--namespace={quote(role.namespace)}" if role.namespace else "--all-namespaces"
    commands = [f"kubectl get rolebindings {scope} -o json | {jq}"]
    if role.kind == "ClusterRole":
        commands.insert(0, f"kubectl get clusterrolebindings -o json | {jq}")
    return Section("Find every binding", tuple(commands))


def _delete(target: Target, *, dry_run: bool) -> str:
    options: dict[str, Any] = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
    if target.pins:
        options["preconditions"] = target.pins
    if dry_run:
        options["dryRun"] = ["All"]
    return f"{_pipe(options)} | kubectl delete --raw {target.reference.path} -f -"


def _patch(target: Target, merge: Manifest, *, dry_run: bool) -> str:
    pinned = merge | {"metadata": merge.get("metadata", {}) | target.pins} if target.pins else merge
    reference = target.reference
    words = ["kubectl patch", reference.kind.lower()]
    if reference.namespace:
        words.append(f"--namespace={quote(reference.namespace)}")
    words += ["--type=merge", f"--patch={_json(pinned)}"]
    if dry_run:
        words.append("--dry-run=server")
    # Behind "--" nothing is an option any more, not even a role called --all.
    return " ".join([*words, "--", quote(reference.name)])


def _pipe(document: Manifest) -> str:
    """Return the command that writes JSON; printf, because some shells' echo acts on backslashes."""
    return f"printf %s {_json(document)}"


def _json(document: Manifest) -> str:
    """Return the document as JSON in single quotes: printable ASCII without a single quote in it."""
    text = json.dumps(document, separators=(",", ":")).replace("'", "\\u0027").replace("\x7f", "\\u007f")
    return f"'{text}'"


def quote(text: str) -> str:
    r"""Return the text as one word for a shell; with characters that a terminal would act on or hide, as $'\x1b…'."""
    if visible(text) == text:
        return shlex.quote(text)
    plain = re.compile(r"[A-Za-z0-9 _.:@%+=,/-]")
    octets = text.encode(errors="surrogatepass")
    escaped = "".join(chr(octet) if plain.match(chr(octet)) else f"\\x{octet:02x}" for octet in octets)
    return f"$'{escaped}'"
