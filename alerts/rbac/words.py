"""Sets of words that are finite, or everything except a finite set: one dimension of what a rule permits."""

from collections.abc import Iterable
from typing import Self

import msgspec


class Words(msgspec.Struct, frozen=True, gc=False):
    """A set of strings: the members, or with `inverted` every string there is except the members.

    The universe is open: every string counts, future verbs and resources too, so an inverted set is never empty and
    never contained in a plain one.
    """

    members: frozenset[str]
    inverted: bool = False

    @classmethod
    def of(cls, *words: str) -> Self:
        """Return the set of just these words."""
        return cls(frozenset(words))

    def __contains__(self, word: str) -> bool:
        return (word in self.members) != self.inverted

    def __bool__(self) -> bool:
        return self.inverted or bool(self.members)

    def __and__(self, other: "Words") -> "Words":
        if self.inverted:
            if other.inverted:
                return Words(self.members | other.members, inverted=True)
            return Words(other.members - self.members)
        if other.inverted:
            return Words(self.members - other.members)
        return Words(self.members & other.members)

    def __sub__(self, other: "Words") -> "Words":
        return self & Words(other.members, not other.inverted)

    def __or__(self, other: "Words") -> "Words":
        if self.inverted:
            kept = self.members & other.members if other.inverted else self.members - other.members
            return Words(kept, inverted=True)
        if other.inverted:
            return Words(other.members - self.members, inverted=True)
        return Words(self.members | other.members)

    def __le__(self, other: "Words") -> bool:
        if self.inverted:
            return other.inverted and other.members <= self.members
        if other.inverted:
            return self.members.isdisjoint(other.members)
        return self.members <= other.members

    def meets(self, other: "Words") -> bool:
        """Answer whether the two sets share a word."""
        if self.inverted:
            return other.inverted or not other.members <= self.members
        if other.inverted:
            return not self.members <= other.members
        return not self.members.isdisjoint(other.members)

    def first(self, preferred: Iterable[str], *, fresh: str) -> str:
        """Return a word of the set: the first preferred one that is in it, else the least member, else a fresh word.

        The set must not be empty. `fresh` is lengthened until it is none of the words left out.
        """
        for word in preferred:
            if word in self:
                return word
        if not self.inverted:
            return min(self.members)
        while fresh in self.members:
            fresh += "x"
        return fresh


ANY = Words(frozenset(), inverted=True)
NAMELESS = Words(frozenset({""}))
