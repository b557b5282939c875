"""Projects what rules permit onto the actions that exist, and makes a few readable rows of it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product

from alerts.rbac.actions import Action, Universe, known
from alerts.rbac.boxes import Box, UrlBox
from alerts.rbac.comparison import Baseline, compare
from alerts.rbac.difference import Boxes, TooMuchWork
from alerts.rbac.inertness import inert
from alerts.rbac.rules import Rule, Rules, RuleSet, parse
from alerts.rbac.table import COLUMNS, EVERYTHING_ELSE, OTHER, VERBS, Cell, Change, Kind, Manner, Matrix, Row
from alerts.rbac.weights import gravity
from alerts.rbac.words import ANY, Words

GRAVE = 30
UNSERVED_ROWS = 200
WORK = 1_000_000  # ten for a permission, one for each of its names and rules; about a second
HTTP_COLUMNS = ("get", "patch", "delete")
OTHER_GROUPS = "every other group"

type Key = tuple[Kind, str, str]


def matrix(
    new: Rules | Baseline,
    old: Rules | Baseline = Baseline.UNSEEN,
    *,
    scope: str = "",
    universe: Universe | None = None,
    limit: int = 12,
) -> Matrix:
    """Return what rules permit, and what changed against the old ones, as a table.

    `old` UNSEEN shows what is held, without changes; None compares with nothing at all. With a `scope` the rules count
    in that namespace only. `universe` is what the cluster serves, by default Kubernetes 1.36. At most `limit` rows are
    shown at once, the rest is folded into the last. Where the comparison is cut off, what is held is shown.
    Raises InvalidRules.
    """
    if isinstance(new, Baseline):
        return Matrix(COLUMNS, (), (), (), 0, open=False)
    permitted = parse(new)
    served = known() if universe is None else universe
    dead = inert(permitted, scope, served)
    sheet = _Sheet(served, scope, {one.word for one in dead if one.field == "resources"})
    comparison = compare(old, permitted)
    try:
        if isinstance(old, Baseline) or comparison.cut_off:
            sheet.put(permitted.boxes, Change.HELD, permitted)
        else:
            sheet.put(comparison.gained, Change.GAINED, permitted)
            sheet.put(comparison.lost, Change.LOST, parse(old))
            sheet.put(comparison.kept, Change.SAME, permitted)
    except TooMuchWork as too_much:
        return Matrix(COLUMNS, (), (), dead, 0, open=False, cut_off=str(too_much))
    rows, rest = _fold(sorted(sheet.rows(), key=_rank), limit)
    return Matrix(COLUMNS, rows, rest, dead, sheet.actions, sheet.open, comparison.cut_off)


@dataclass
class _Part:
    """How one change holds for one verb on one resource."""

    names: set[str] = field(default_factory=set)
    unlimited: bool = False
    wildcard: bool = False
    rules: set[int] = field(default_factory=set)

    def add(self, names: Words, rules: tuple[int, ...], *, wildcard: bool, nameless: bool) -> None:
        if names.inverted or (nameless and "" in names):
            self.unlimited = True
        else:
            self.names |= names.members - {""}
        self.wildcard = self.wildcard or wildcard
        self.rules.update(rules)


class _Sheet:
    """Collects boxes as entries by resource, verb and change."""

    def __init__(self, universe: Universe, scope: str, dead: set[str]) -> None:
        self.universe = universe
        self._dead = dead
        self.scope = scope
        self.open = False
        self._entries: defaultdict[Key, defaultdict[str, defaultdict[Change, _Part]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(_Part))
        )
        self._counted = 0
        self._work = WORK

    @property
    def actions(self) -> int:
        """How many actions that exist today are permitted or were."""
        return self._counted.bit_count()

    def put(self, boxes: Boxes, change: Change, rules: RuleSet) -> None:
        """Enter boxes, whose rule indexes are of `rules`."""
        for box in boxes.resources:
            self._put_served(box, change, rules)
            self._put_open(box, change, rules)
        if not self.scope:
            for url in boxes.urls:
                self._put_url(url, change, rules)

    def _put_served(self, box: Box, change: Change, rules: RuleSet) -> None:
        reach = self.universe.namespaced if self.scope else self.universe.all
        bits = self.universe.within(box) & reach
        if change is not Change.LOST:
            self._counted |= bits
        for action in self.universe.listed(bits):
            self._enter((Kind.RESOURCE, action.group, action.written), action.verb, change, box, rules)
        if box.verbs.inverted:
            any_verb = Box(box.groups, box.resources, box.subresources, box.names, ANY, box.rules)
            served = {action[:3]: action for action in self.universe.listed(self.universe.within(any_verb) & reach)}
            for action in served.values():
                self._enter((Kind.RESOURCE, action.group, action.written), OTHER, change, box, rules)

    def _put_open(self, box: Box, change: Change, rules: RuleSet) -> None:
        """Enter what no API serves today: words that are spelled out, and everything that a wildcard leaves open."""
        for key in self._unserved(box):
            for verb in _verbs(box.verbs, VERBS):
                self._enter(key, verb, change, box, rules)

    def _unserved(self, box: Box) -> Iterator[Key]:
        if box.resources.inverted or box.subresources.inverted:
            strange = [] if box.groups.inverted else sorted(box.groups.members - set(self.universe.groups))
            if strange and box.resources == ANY:
                yield from ((Kind.UNSERVED, group, "*") for group in strange)
            if not strange or len(strange) < len(box.groups.members):
                self.open = True
                yield Kind.REMAINDER, "", EVERYTHING_ELSE
            return
        groups = sorted(box.groups.members)
        for resource, subresource in product(sorted(box.resources.members), sorted(box.subresources.members)):
            written = f"{resource}/{subresource}" if subresource else resource
            if written in self._dead:
                continue
            if box.groups.inverted:
                yield Kind.UNSERVED, OTHER_GROUPS, written
                continue
            served = self.universe.written.get(written, 0)
            if not any(served & self.universe.groups.get(group, 0) for group in groups):
                yield Kind.UNSERVED, ", ".join(group or "core" for group in groups), written

    def _put_url(self, box: UrlBox, change: Change, rules: RuleSet) -> None:
        holes = ", ".join(sorted(map(str, box.urls.without))[:3])
        label = f"{box.urls.pattern} except {holes}" if holes else str(box.urls.pattern)
        wildcard = any("*" in rules.rules[index].verbs for index in box.rules) or box.urls.pattern.prefix
        for verb in _verbs(box.verbs, HTTP_COLUMNS):
            part = self._entries[Kind.URL, "", label][verb][change]
            part.add(ANY, box.rules, wildcard=wildcard, nameless=True)

    def _enter(self, key: Key, verb: str, change: Change, box: Box, rules: RuleSet) -> None:
        self._work -= 10 + len(box.names.members) + len(box.rules)
        if self._work < 0:
            raise TooMuchWork("too large for a table: the rules name too many resources and verbs")
        wildcard = any(_through_wildcard(rules.rules[index], key[2], verb) for index in box.rules)
        nameless = "/" not in key[2] and verb in {"list", "watch", "create", "deletecollection"}
        if len(self._entries) < UNSERVED_ROWS or key in self._entries or key[0] is Kind.RESOURCE:
            self._entries[key][verb][change].add(box.names, box.rules, wildcard=wildcard, nameless=nameless)
        else:
            self._entries[Kind.REMAINDER, "", EVERYTHING_ELSE][verb][change].add(
                box.names, box.rules, wildcard=wildcard, nameless=nameless
            )

    def rows(self) -> Iterator[Row]:
        """Yield a row per group of resources that are permitted alike."""
        alike: defaultdict[tuple[object, ...], list[Row]] = defaultdict(list)
        for (kind, group, written), verbs in self._entries.items():
            resource, _, subresource = written.partition("/")
            worst = max(gravity(Action(group, resource, subresource, verb, namespaced=True)) for verb in verbs)
            row = Row(kind, group, (written,), tuple(_cells(verbs)), worst if kind is Kind.RESOURCE else 0)
            # Grave rows stand alone with their like; the others are joined over all groups.
            alike[kind, row.look, (row.group, row.gravity) if row.gravity >= GRAVE else ""].append(row)
        for rows in alike.values():
            yield _joined(rows)


def _verbs(verbs: Words, columns: Iterable[str]) -> Iterator[str]:
    if not verbs.inverted:
        yield from verbs.members
        return
    yield from (verb for verb in columns if verb in verbs)
    yield OTHER


def _through_wildcard(rule: Rule, written: str, verb: str) -> bool:
    return "*" in rule.groups or ("*" in rule.verbs and verb not in rule.verbs) or written not in rule.resources


def _cells(verbs: dict[str, defaultdict[Change, _Part]]) -> Iterator[Cell | None]:
    for verb in VERBS:
        yield _cell(verbs[verb]) if verb in verbs else None
    special = {verb: _cell(parts) for verb, parts in verbs.items() if verb not in VERBS}
    yield _special(special) if special else None


def _cell(parts: dict[Change, _Part]) -> Cell:
    change = _overall(parts)
    part = parts.get(change) or parts.get(Change.GAINED) or _Part()
    manner = Manner.NAMED if not part.unlimited else Manner.WILDCARD if part.wildcard else Manner.EXACT
    names = () if part.unlimited else tuple(sorted(part.names))
    same = parts.get(Change.SAME)
    kept = tuple(sorted(same.names)) if same and change is not Change.SAME and not same.unlimited else ()
    return Cell(change, manner, names, (), tuple(sorted(part.rules)), kept)


def _overall(changes: Iterable[Change]) -> Change:
    found = set(changes)
    if Change.GAINED in found:
        return Change.CHANGED if Change.LOST in found else Change.GAINED
    if Change.LOST in found:
        return Change.LOST
    return next(iter(found))


def _special(cells: dict[str, Cell]) -> Cell:
    """Return one cell for all verbs without a column of their own: those that changed, the others as kept."""
    change = _overall(cell.change for cell in cells.values())
    changed = {verb: cell for verb, cell in cells.items() if cell.change is not Change.SAME or change is Change.SAME}
    first = min(changed.values(), key=lambda cell: list(Manner).index(cell.manner))
    rules = sorted({rule for cell in changed.values() for rule in cell.rules})
    kept = sorted(set(cells) - set(changed))
    return Cell(change, first.manner, first.names, tuple(sorted(changed, key=_other_last)), tuple(rules), tuple(kept))


def _other_last(verb: str) -> tuple[bool, str]:
    return verb == OTHER, verb


def _joined(rows: list[Row]) -> Row:
    first = rows[0]
    if len(rows) == 1:
        return first
    groups = {row.group for row in rows}
    if len(groups) == 1:
        resources = sorted(row.resources[0] for row in rows)
        return Row(first.kind, first.group, tuple(resources), first.cells, first.gravity)
    dotted = (f"{row.resources[0]}.{row.group}" if row.group else row.resources[0] for row in rows)
    return Row(first.kind, "", tuple(sorted(dotted)), first.cells, max(row.gravity for row in rows))


def _rank(row: Row) -> tuple[object, ...]:
    changes = {cell.change for cell in row.cells if cell is not None}
    order = 0 if changes & {Change.GAINED, Change.CHANGED, Change.HELD} else 1 if Change.LOST in changes else 2
    return row.kind is Kind.REMAINDER, order, -row.gravity, list(Kind).index(row.kind), row.group, row.resources


def _fold(rows: list[Row], limit: int) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Return the rows to show and the rest; what is not shown is summed up in the last row."""
    if len(rows) <= limit:
        return tuple(rows), ()
    remainder = [row for row in rows if row.kind is Kind.REMAINDER]
    others = [row for row in rows if row.kind is not Kind.REMAINDER]
    shown, rest = others[: limit - 1], others[limit - 1 :]
    count = sum(len(row.resources) for row in rest)
    label = f"{count} more" + (", and all future" if remainder else "")
    cells = tuple(_summed([row.cells[column] for row in (*rest, *remainder)]) for column in range(len(COLUMNS)))
    return (*shown, Row(Kind.REMAINDER, "", (label,), cells)), tuple(rest)


def _summed(cells: list[Cell | None]) -> Cell | None:
    found = [cell for cell in cells if cell is not None]
    if not found:
        return None
    widest = min(found, key=lambda cell: list(Manner).index(cell.manner))
    verbs = sorted({verb for cell in found for verb in cell.verbs}, key=_other_last)
    rules = sorted({rule for cell in found for rule in cell.rules})
    return Cell(_overall(cell.change for cell in found), widest.manner, widest.names, tuple(verbs), tuple(rules))
