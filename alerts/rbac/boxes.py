"""Boxes: what rules permit, as products of sets that can be subtracted from each other exactly.

A rule on resources is a union of boxes over (group, resource, subresource, name, verb); a rule on URLs is a union of
boxes over (URL, verb). Each dimension is finite or everything except a finite set, so a difference of boxes is again a
few boxes, in the open world: verbs and resources that do not exist yet are counted too.
"""

from collections.abc import Sequence

import msgspec

from alerts.rbac.request import Request
from alerts.rbac.urls import Urls
from alerts.rbac.words import Words


class Box(msgspec.Struct, frozen=True):
    """Every combination of a verb, group, resource, subresource ("" for the resource itself) and object name.

    A name "" stands for requests that name no object. `rules` are the indexes of the rules this access came from.
    """

    groups: Words
    resources: Words
    subresources: Words
    names: Words
    verbs: Words
    rules: tuple[int, ...] = ()

    @classmethod
    def of(cls, dimensions: Sequence[Words], rules: tuple[int, ...]) -> "Box":
        """Return the box of five sets, in the order of `dimensions`."""
        groups, resources, subresources, names, verbs = dimensions
        return cls(groups, resources, subresources, names, verbs, rules)

    @property
    def dimensions(self) -> tuple[Words, Words, Words, Words, Words]:
        """The five sets, in the order in which differences are cut."""
        return self.groups, self.resources, self.subresources, self.names, self.verbs

    def __contains__(self, request: Request) -> bool:
        return (
            request.path is None
            and request.resource in self.resources
            and request.group in self.groups
            and request.verb in self.verbs
            and request.subresource in self.subresources
            and request.name in self.names
        )

    def meets(self, other: "Box") -> bool:
        """Answer whether some request is in both."""
        return (
            self.resources.meets(other.resources)
            and self.groups.meets(other.groups)
            and self.verbs.meets(other.verbs)
            and self.subresources.meets(other.subresources)
            and self.names.meets(other.names)
        )

    def within(self, other: "Box") -> bool:
        """Answer whether every request of this one is in the other."""
        return all(mine <= theirs for mine, theirs in zip(self.dimensions, other.dimensions, strict=True))

    def minus(self, other: "Box") -> list["Box"]:
        """Return what is left without the other box: at most five disjoint boxes."""
        left, mine, theirs = [], list(self.dimensions), other.dimensions
        for axis, words in enumerate(theirs):
            rest = mine[axis] - words
            if rest:
                left.append(Box.of([*mine[:axis], rest, *mine[axis + 1 :]], self.rules))
            mine[axis] &= words
            if not mine[axis]:
                return [self]
        return left


class UrlBox(msgspec.Struct, frozen=True):
    """Every combination of a verb and a non-resource URL. `rules` as in Box."""

    urls: Urls
    verbs: Words
    rules: tuple[int, ...] = ()

    def __contains__(self, request: Request) -> bool:
        return request.path is not None and request.path in self.urls and request.verb in self.verbs

    def within(self, other: "UrlBox") -> bool:
        """Answer whether every request of this one is in the other."""
        return self.verbs <= other.verbs and self.urls <= other.urls

    def minus(self, other: "UrlBox") -> list["UrlBox"]:
        """Return what is left without the other box, as disjoint boxes."""
        shared = self.urls & other.urls
        if shared is None or not self.verbs.meets(other.verbs):
            return [self]
        left = [UrlBox(piece, self.verbs, self.rules) for piece in self.urls - other.urls]
        verbs = self.verbs - other.verbs
        return [*left, UrlBox(shared, verbs, self.rules)] if verbs else left
