"""Patches: JSON merge patch (RFC 7386), JSON patch (RFC 6902) and the fields of a server-side apply."""

import copy
import json
from typing import Any

from alerts.cluster.kinds import Manifest
from alerts.cluster.practice import status


def merge(target: Any, patch: Any) -> Any:
    """Return the target with a merge patch applied; strategic merge patches of roles and bindings mean the same."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def json_patch(target: Manifest, operations: list[Any]) -> Manifest:
    """Return the target with a JSON patch applied: add, remove, replace, test, move and copy.

    Raises Refusal (422 in Kubernetes) where an operation does not fit the document.
    """
    document: Any = copy.deepcopy(target)
    try:
        for operation in operations:
            document = _operate(document, operation)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        message = "the server rejected our request due to an error in our request"
        raise status.Refusal(422, "Invalid", message, {}) from error
    patched: Manifest = document
    return patched


def _operate(document: Any, operation: Manifest) -> Any:
    path = _pointer(operation["path"])
    match operation["op"]:
        case "add":
            return _put(document, path, operation["value"], insert=True)
        case "replace":
            _at(document, path)
            return _put(document, path, operation["value"], insert=False)
        case "remove":
            return _remove(document, path)
        case "test" if _at(document, path) == operation["value"]:
            return document
        case "copy":
            return _put(document, path, copy.deepcopy(_at(document, _pointer(operation["from"]))), insert=True)
        case "move":
            source = _pointer(operation["from"])
            value = _at(document, source)
            return _put(_remove(document, source), path, value, insert=True)
    raise ValueError(operation["op"])


def _pointer(text: str) -> list[str]:
    if text and not text.startswith("/"):
        raise ValueError(text)
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _at(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def _put(document: Any, path: list[str], value: Any, *, insert: bool) -> Any:
    if not path:
        return value
    parent, last = _at(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif last == "-":
        parent.append(value)
    elif insert:
        parent.insert(int(last), value)
    else:
        parent[int(last)] = value
    return document


def _remove(document: Any, path: list[str]) -> Any:
    parent, last = _at(document, path[:-1]), path[-1]
    del parent[int(last) if isinstance(parent, list) else last]
    return document


def set_field(manifest: Manifest, path: tuple[str, ...], value: Any) -> None:
    """Set a field by its path, or remove it with None."""
    node: Any = manifest
    for part in path[:-1]:
        node = node.setdefault(part, [] if part == "finalizers" else {})
    if isinstance(node, list):
        word = json.loads(path[-1].removeprefix("v:"))
        node[:] = [other for other in node if other != word] + ([] if value is None else [word])
    elif value is None:
        node.pop(path[-1], None)
    else:
        node[path[-1]] = copy.deepcopy(value)
