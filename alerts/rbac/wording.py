"""Access in people's words: `get, list on secrets`, `everything except pods/log`."""

from alerts.rbac.boxes import Box, UrlBox
from alerts.rbac.urls import Urls
from alerts.rbac.words import ANY, NAMELESS, Words

SHOWN = 6


def describe(box: Box | UrlBox) -> str:
    """Return what a box permits, as one phrase."""
    verbs = phrase(box.verbs, everything="every verb")
    if isinstance(box, UrlBox):
        return f"{verbs} on {urls(box.urls)}"
    words = [verbs, "on", resources(box.resources, box.subresources)]
    group = groups(box.groups)
    if group:
        words.append(group)
    named = names(box.names)
    if named:
        words.append(named)
    return " ".join(words)


def phrase(words: Words, *, everything: str, blank: str = '""') -> str:
    """Return a set as a list of words, cut at six, or as everything except some."""
    shown = [word or blank for word in sorted(words.members)[:SHOWN]]
    more = len(words.members) - len(shown)
    listed = ", ".join(shown) + (f" and {more} more" if more else "")
    if not words.inverted:
        return listed
    return f"{everything} except {listed}" if listed else everything


def resources(of: Words, subresources: Words) -> str:
    """Return resources with their subresources: `pods, pods/log`, `scale of every resource`."""
    if of.inverted or subresources.inverted:
        whole = phrase(of, everything="every resource")
        if subresources == ANY:
            return whole if of.inverted else f"{whole} and every subresource"
        if subresources == NAMELESS:
            return f"{whole} itself" if of.inverted else whole
        below = phrase(subresources, everything="every subresource", blank="the resource itself")
        return f"{below} of {whole}"
    written = [
        f"{resource}/{below}" if below else resource
        for resource in sorted(of.members)
        for below in sorted(subresources.members)
    ]
    return phrase(Words(frozenset(written)), everything="")


def groups(of: Words) -> str:
    """Return which API groups, or "" where it is the core group alone."""
    if of == Words(frozenset({""})):
        return ""
    if of == ANY:
        return "in every API group"
    return "in " + phrase(of, everything="every API group", blank="core")


def names(of: Words) -> str:
    """Return which object names, or "" where any name will do."""
    if of == ANY:
        return ""
    if of == NAMELESS:
        return "without naming an object"
    return "named " + phrase(of, everything="anything", blank="nothing")


def urls(of: Urls) -> str:
    """Return which URLs."""
    written = str(of.pattern)
    pattern = "every URL" if written == "*" else written
    without = ", ".join(sorted(map(str, of.without))[:SHOWN])
    return f"{pattern} except {without}" if without else pattern
