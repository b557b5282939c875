"""Differences of what two sets of rules permit: every box of one, less the boxes of the other."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property

from alerts.rbac.boxes import Box, UrlBox
from alerts.rbac.urls import Pattern, Urls
from alerts.rbac.words import Words

WORK = 200_000  # cuts of one box by another; about a second


class TooMuchWork(Exception):
    """A difference that would take too long to work out; the text says so in plain words."""


class Boxes:
    """A union of boxes, with an index of which of them may meet another box.

    The index holds one bit mask per word and dimension, so a rule set of thousands of rules costs no more than the
    boxes that truly meet.
    """

    def __init__(self, resources: Iterable[Box] = (), urls: Iterable[UrlBox] = ()) -> None:
        self.resources = tuple(resources)
        self.urls = tuple(urls)

    def __bool__(self) -> bool:
        return bool(self.resources or self.urls)

    def __iter__(self) -> Iterator[Box | UrlBox]:
        yield from self.resources
        yield from self.urls

    def __len__(self) -> int:
        return len(self.resources) + len(self.urls)

    @cached_property
    def _masks(self) -> tuple[tuple[dict[str, int], int], ...]:
        masks: list[tuple[dict[str, int], int]] = []
        for axis in range(5):
            finite: defaultdict[str, int] = defaultdict(int)
            inverted = 0
            for number, box in enumerate(self.resources):
                words = box.dimensions[axis]
                if words.inverted:
                    inverted |= 1 << number
                else:
                    for word in words.members:
                        finite[word] |= 1 << number
            masks.append((dict(finite), inverted))
        return tuple(masks)

    def meeting(self, box: Box) -> Iterator[Box]:
        """Yield the boxes on resources that may meet this one."""
        candidates = (1 << len(self.resources)) - 1
        for (finite, inverted), words in zip(self._masks, box.dimensions, strict=True):
            if words.inverted:
                continue
            found = inverted
            for word in words.members:
                found |= finite.get(word, 0)
            candidates &= found
            if not candidates:
                return
        while candidates:
            lowest = candidates & -candidates
            yield self.resources[lowest.bit_length() - 1]
            candidates ^= lowest

    @cached_property
    def _texts(self) -> list[tuple[str, int]]:
        return sorted((box.urls.pattern.text, number) for number, box in enumerate(self.urls))

    @cached_property
    def _prefixes(self) -> dict[str, list[int]]:
        prefixes: defaultdict[str, list[int]] = defaultdict(list)
        for number, box in enumerate(self.urls):
            prefixes[box.urls.pattern.text].append(number)
        return prefixes

    def meeting_urls(self, box: UrlBox) -> Iterator[UrlBox]:
        """Yield the boxes on URLs that may meet this one: those of a prefix of its text, and those that extend it."""
        pattern = box.urls.pattern
        for length in range(len(pattern.text) + 1):
            for number in self._prefixes.get(pattern.text[:length], ()):
                yield self.urls[number]
        if pattern.prefix:
            for text, number in self._texts[bisect_left(self._texts, (pattern.text, -1)) :]:
                if not text.startswith(pattern.text):
                    break
                if text != pattern.text:
                    yield self.urls[number]


def subtract(these: Boxes, those: Boxes, *, work: int = WORK) -> Boxes:
    """Return what is in these boxes and in none of those, each with the rules of the box it was cut from.

    Raises TooMuchWork after `work` cuts.
    """
    left: list[Box] = []
    left_urls: list[UrlBox] = []
    for box in these.resources:
        pieces = [box]
        for other in those.meeting(box):
            work -= len(pieces)
            _check(work)
            pieces = [rest for piece in pieces for rest in (piece.minus(other) if piece.meets(other) else (piece,))]
            if not pieces:
                break
        left += pieces
    for url_box in these.urls:
        url_pieces = [url_box]
        for url_other in those.meeting_urls(url_box):
            work -= len(url_pieces)
            _check(work)
            url_pieces = [rest for piece in url_pieces for rest in piece.minus(url_other)]
            if not url_pieces:
                break
        left_urls += url_pieces
    return Boxes(left, left_urls)


def _check(work: int) -> None:
    if work < 0:
        raise TooMuchWork("too large to compare completely: the rules overlap in too many ways")


def compact(boxes: Boxes) -> Boxes:
    """Return the same access in fewer boxes: joined where they differ in one dimension, dropped where contained.

    The rules of joined boxes are joined too.
    """
    resources = list(boxes.resources)
    before = len(resources) + 1
    while len(resources) < before:
        before = len(resources)
        for axis in range(5):
            resources = _join(resources, axis)
    return Boxes(_drop_contained(resources), _join_urls(boxes.urls))


def _join(boxes: list[Box], axis: int) -> list[Box]:
    if len(boxes) < 2:
        return boxes
    groups: defaultdict[tuple[Words, ...], list[Box]] = defaultdict(list)
    for box in boxes:
        groups[box.dimensions[:axis] + box.dimensions[axis + 1 :]].append(box)
    joined = []
    for others, members in groups.items():
        if len(members) == 1:
            joined.append(members[0])
            continue
        words = members[0].dimensions[axis]
        for member in members[1:]:
            words |= member.dimensions[axis]
        rules = tuple(sorted({rule for member in members for rule in member.rules}))
        joined.append(Box.of((*others[:axis], words, *others[axis:]), rules))
    return joined


def _drop_contained(boxes: list[Box]) -> list[Box]:
    if not 1 < len(boxes) <= 300:
        return boxes
    unique = list({box.dimensions: box for box in boxes}.values())
    return [box for box in unique if not any(box is not other and box.within(other) for other in unique)]


def _join_urls(boxes: Iterable[UrlBox]) -> list[UrlBox]:
    by_urls: dict[Urls, UrlBox] = {}
    for box in boxes:
        known = by_urls.get(box.urls)
        if known is None:
            by_urls[box.urls] = box
        else:
            rules = tuple(sorted({*known.rules, *box.rules}))
            by_urls[box.urls] = UrlBox(box.urls, known.verbs | box.verbs, rules)
    unique = list(by_urls.values())
    if len(unique) > 300:
        return unique
    return [box for box in unique if not any(box is not other and box.within(other) for other in unique)]


def pattern_box(url: str, verbs: Words, rule: int) -> UrlBox:
    """Return the box of one URL of a rule."""
    return UrlBox(Urls(Pattern.parse(url)), verbs, (rule,))
