"""Sets of non-resource URLs: one pattern with other patterns cut out of it."""

import string

import msgspec


class Pattern(msgspec.Struct, frozen=True, gc=False):
    """One exact URL, or with `prefix` every URL that starts with the text.

    Two patterns are always disjoint or nested, so sets of them stay simple under subtraction.
    """

    text: str
    prefix: bool = False

    @classmethod
    def parse(cls, url: str) -> "Pattern":
        """Read a URL as a rule has it: a trailing star makes a prefix, stars elsewhere are literal.

        All trailing stars are trimmed, as `NonResourceURLMatches` does (pkg/apis/rbac/v1/evaluation_helpers.go).
        """
        return cls(url.rstrip("*"), prefix=True) if url.endswith("*") else cls(url)

    def __str__(self) -> str:
        return self.text + "*" if self.prefix else self.text

    def __contains__(self, path: str) -> bool:
        return path.startswith(self.text) if self.prefix else path == self.text

    def within(self, other: "Pattern") -> bool:
        """Answer whether every URL of this pattern is one of the other's."""
        return self.text.startswith(other.text) if other.prefix else self == other


class Urls(msgspec.Struct, frozen=True):
    """Every URL of a pattern except those of the patterns cut out, none of which covers the whole pattern."""

    pattern: Pattern
    without: frozenset[Pattern] = frozenset()

    def __contains__(self, path: str) -> bool:
        return path in self.pattern and not any(path in hole for hole in self.without)

    def __and__(self, other: "Urls") -> "Urls | None":
        if self.pattern.within(other.pattern):
            return _cut(self.pattern, self.without | other.without)
        if other.pattern.within(self.pattern):
            return _cut(other.pattern, self.without | other.without)
        return None

    def __sub__(self, other: "Urls") -> "list[Urls]":
        if not (self.pattern.within(other.pattern) or other.pattern.within(self.pattern)):
            return [self]
        pieces = [_cut(self.pattern, self.without | {other.pattern})]
        for hole in other.without:
            if hole.within(self.pattern):
                pieces.append(_cut(hole, self.without))
            elif self.pattern.within(hole):
                pieces.append(self)
        return [piece for piece in pieces if piece is not None]

    def __le__(self, other: "Urls") -> bool:
        return not self - other

    def example(self) -> str:
        """Return a URL of the set."""
        start = self.pattern.text
        if not self.pattern.prefix or (start and start in self):
            return start
        # Some character starts no hole, so a path that goes on with it is in none.
        slash = [] if start.endswith("/") else ["/"]
        characters = (*slash, *string.ascii_lowercase, *string.digits, *map(chr, range(0xA1, 0xD800)))
        return next(path for character in characters if (path := f"{start}{character}anything") in self)


def _cut(pattern: Pattern, holes: frozenset[Pattern]) -> Urls | None:
    """Return the pattern without the holes, keeping only the widest holes inside it, or None where nothing is left.

    Finitely many narrower patterns never exhaust a prefix, so only a hole that covers the whole pattern empties it.
    """
    if any(pattern.within(hole) for hole in holes):
        return None
    inside = [hole for hole in holes if hole.within(pattern)]
    widest = [hole for hole in inside if not any(hole.within(other) and hole != other for other in inside)]
    return Urls(pattern, frozenset(widest))
