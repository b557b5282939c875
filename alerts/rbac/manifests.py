"""Reads manifests as people keep them: YAML or JSON, several documents, Lists; and says where something is wrong."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import yaml
from yaml.nodes import MappingNode, Node, SequenceNode
from yaml.reader import ReaderError

from alerts.rbac.objects import Binding, Role
from alerts.rbac.rules import InvalidRules

ROLES = frozenset({"ClusterRole", "Role"})
BINDINGS = frozenset({"ClusterRoleBinding", "RoleBinding"})


class ManifestError(ValueError):
    """A manifest that cannot be read; the text begins with the file and line."""


class Manifest(msgspec.Struct, frozen=True):
    """One object of a file: the parsed mapping, and the place it begins at (`roles.yaml:12`)."""

    content: dict[str, Any]
    place: str

    @property
    def kind(self) -> str:
        """The object's kind, "" where it has none."""
        return str(self.content.get("kind") or "")


class Contents(msgspec.Struct, frozen=True):
    """The roles and bindings of a file, with how many objects of other kinds were passed over."""

    roles: tuple[Role, ...]
    bindings: tuple[Binding, ...]
    others: int


def read(text: str, source: str) -> Contents:
    """Read the roles and bindings of a file's text; `source` names it in messages.

    Raises ManifestError with file and line where it is no manifest, holds no role, or a role is not what Kubernetes
    would take.
    """
    manifests = list(documents(text, source))
    roles = tuple(_made(Role, manifest) for manifest in manifests if manifest.kind in ROLES)
    bindings = tuple(_made(Binding, manifest) for manifest in manifests if manifest.kind in BINDINGS)
    if not roles:
        kinds = sorted({manifest.kind for manifest in manifests})
        found = f"only {', '.join(kinds)}" if kinds else "nothing at all"
        place = manifests[0].place if manifests else source
        raise ManifestError(f"{place}: no Role or ClusterRole here, {found}")
    return Contents(roles, bindings, len(manifests) - len(roles) - len(bindings))


def _made[Made: (Role, Binding)](of: type[Made], manifest: Manifest) -> Made:
    try:
        made = of.of_manifest(manifest.content)
    except InvalidRules as invalid:
        raise ManifestError(f"{manifest.place}: {invalid}") from invalid
    if not (made.ref.name if isinstance(made, Role) else made.name):
        raise ManifestError(f"{manifest.place}: the {manifest.kind} has no name")
    return made


def documents(text: str, source: str) -> Iterator[Manifest]:
    """Yield the objects of a file's text, those inside Lists one by one.

    Raises ManifestError.
    """
    for content, line in _json(text, source) if text.lstrip()[:1] in {"{", "["} else _yaml(text, source):
        yield from _unwrapped(content, f"{source}:{line}")


def _unwrapped(content: Any, place: str) -> Iterator[Manifest]:
    if isinstance(content, list):
        for item in content:
            yield from _unwrapped(item, place)
        return
    if not isinstance(content, Mapping):
        raise ManifestError(f"{place}: not a manifest, which is a mapping with a kind")
    kind = content.get("kind")
    if not isinstance(kind, str) or not kind:
        raise ManifestError(f"{place}: no kind, so nobody can tell what it is")
    if kind == "List" or (kind.endswith("List") and isinstance(content.get("items"), list)):
        for item in content.get("items") or ():
            # Items of a typed list, as the API serves it, have no kind of their own.
            named = (
                {"kind": kind.removesuffix("List"), **item} if isinstance(item, Mapping) and kind != "List" else item
            )
            yield from _unwrapped(named, place)
        return
    yield Manifest(dict(content), place)


def _json(text: str, source: str) -> Iterator[tuple[Any, int]]:
    decoder = json.JSONDecoder(object_pairs_hook=_unique)
    position = 0
    while (found := re.compile(r"\s*").match(text, position)) and found.end() < len(text):
        start = found.end()
        line = text.count("\n", 0, start) + 1
        try:
            content, position = decoder.raw_decode(text, start)
        except json.JSONDecodeError as wrong:
            raise ManifestError(f"{source}:{wrong.lineno}: not JSON: {wrong.msg}") from wrong
        except ValueError as twice:
            raise ManifestError(f"{source}:{line}: {twice}") from twice
        except RecursionError as deep:
            raise ManifestError(f"{source}:{line}: nested too deeply") from deep
        yield content, line


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return content


def _yaml(text: str, source: str) -> Iterator[tuple[Any, int]]:
    loader = None
    try:
        loader = yaml.SafeLoader(text)
        while loader.check_node() and (node := loader.get_node()) is not None:
            _check_keys(node, source)
            content = loader.construct_document(node)
            if content is not None:
                yield content, node.start_mark.line + 1
    except ManifestError:
        raise
    except yaml.MarkedYAMLError as wrong:
        mark = wrong.problem_mark or wrong.context_mark
        line = mark.line + 1 if mark else 1
        raise ManifestError(f"{source}:{line}: not YAML: {wrong.problem or wrong.context}") from wrong
    except ReaderError as wrong:
        line = text.count("\n", 0, wrong.position) + 1
        raise ManifestError(f"{source}:{line}: not YAML: it holds a character that may not be there") from wrong
    except (yaml.YAMLError, ValueError, TypeError) as wrong:
        raise ManifestError(f"{source}:1: not YAML: {' '.join(str(wrong).split())}") from wrong
    except RecursionError as deep:
        raise ManifestError(f"{source}:1: nested too deeply") from deep
    finally:
        if loader is not None:
            loader.dispose()


def _check_keys(node: Node, source: str) -> None:
    """Refuse a mapping with the same key twice: a reader would see one, Kubernetes might take the other."""
    waiting, seen = [node], {id(node)}
    while waiting:
        current = waiting.pop()
        children: list[Node] = list(current.value) if isinstance(current, SequenceNode) else []
        if isinstance(current, MappingNode):
            keys = [key.value for key, _ in current.value]
            for (key, value), repeated in zip(current.value, _repeated(keys), strict=True):
                if repeated:
                    raise ManifestError(f"{source}:{key.start_mark.line + 1}: the key {key.value!r} is there twice")
                children.append(value)
        for child in children:
            if id(child) not in seen:
                seen.add(id(child))
                waiting.append(child)


def _repeated(keys: list[Any]) -> Iterator[bool]:
    known: set[str] = set()
    for key in keys:
        yield str(key) in known
        known.add(str(key))
