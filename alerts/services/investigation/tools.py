"""Release tools and operators, recognised by what they say of themselves. It is said, never trusted.

A user agent and a field manager are chosen by the client: whoever holds the actor's credentials can claim both.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool by its anchored patterns, and the label or annotation it leaves on what it manages."""

    name: str
    user_agent: re.Pattern[str]
    managers: frozenset[str] = frozenset()
    marks: tuple[tuple[str, str], ...] = ()


# Marks are (key, value); an empty value means any. Sources: the tools' own documentation of their labels, and
# pkg/manager and common constants of Argo CD, the controllers' names of Flux.
TOOLS = (
    Tool(
        "Helm",
        re.compile(r"\AHelm/\d+\.\d+\.\d+\S*\Z"),
        frozenset({"helm", "Helm"}),
        (("app.kubernetes.io/managed-by", "Helm"), ("meta.helm.sh/release-name", "")),
    ),
    Tool(
        "Argo CD",
        re.compile(r"\Aargocd-(application-)?controller(/v\d\S*)?( \([^)]*\).*)?\Z"),
        frozenset({"argocd-controller", "argocd-application-controller"}),
        (("argocd.argoproj.io/tracking-id", ""), ("argocd.argoproj.io/instance", "")),
    ),
    Tool(
        "Flux",
        re.compile(r"\A(kustomize|helm)-controller(/v\d\S*)?( \([^)]*\).*)?\Z"),
        frozenset({"kustomize-controller", "helm-controller"}),
        (("kustomize.toolkit.fluxcd.io/name", ""), ("helm.toolkit.fluxcd.io/name", "")),
    ),
    Tool("OLM", re.compile(r"\A(olm|catalog)(/v?\d\S*)?( \([^)]*\).*)?\Z"), marks=(("olm.owner", ""),)),
)


@dataclass(frozen=True, slots=True)
class Recognition:
    """A tool and what speaks for it: of "user agent", "field manager" and "labels", those that fit."""

    tool: str
    signs: tuple[str, ...]


def recognise(user_agent: str, managers: Iterable[str], marks: Mapping[str, str]) -> Recognition | None:
    """Return the tool that fits best, or None. `marks` are the object's labels and annotations together."""
    managers = set(managers)
    found = []
    for tool in TOOLS:
        signs = {
            "user agent": bool(tool.user_agent.match(user_agent)),
            "field manager": not tool.managers.isdisjoint(managers),
            "labels": any(key in marks and value in ("", marks[key]) for key, value in tool.marks),
        }
        present = tuple(sign for sign, fits in signs.items() if fits)
        if present:
            found.append(Recognition(tool.name, present))
    return max(found, key=lambda recognition: len(recognition.signs), default=None)
