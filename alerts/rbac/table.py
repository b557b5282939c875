"""What rules permit as a table for people: resources down, verbs across, the gravest first."""

from dataclasses import dataclass
from enum import StrEnum

from alerts.rbac.inertness import Inert

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
SPECIAL = "special"
COLUMNS = (*VERBS, SPECIAL)
OTHER = "any other"
EVERYTHING_ELSE = "everything else, and all future"


class Change(StrEnum):
    """What became of a permission between the two sides of a comparison; HELD where there is no other side."""

    GAINED = "gained"
    LOST = "lost"
    SAME = "same"
    CHANGED = "changed"
    HELD = "held"


class Manner(StrEnum):
    """How a permission is written: outright, through a wildcard, or for named objects only."""

    EXACT = "exact"
    WILDCARD = "wildcard"
    NAMED = "named"


SYMBOLS = {Change.GAINED: "+", Change.LOST: "\N{MINUS SIGN}", Change.SAME: "·", Change.CHANGED: "±", Change.HELD: "✓"}


@dataclass(frozen=True)
class Cell:
    """What is permitted on a row's resources for a verb; in the last column for the special verbs, which it lists.

    `names` are the only object names it is limited to, () for any. `rules` are the indexes of the rules it comes from:
    the old ones' for what was lost, else the new ones'. `kept` are the names or special verbs that did not change while
    others did.
    """

    change: Change
    manner: Manner
    names: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    rules: tuple[int, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def symbol(self) -> str:
        """One character for the change."""
        return SYMBOLS[self.change]

    @property
    def title(self) -> str:
        """The cell in words."""
        how = {
            Manner.EXACT: "",
            Manner.WILDCARD: " through a wildcard",
            Manner.NAMED: " only for " + ", ".join(self.names[:5]),
        }
        verbs = f": {', '.join(self.verbs)}" if self.verbs else ""
        kept = f"; unchanged: {', '.join(self.kept[:5])}" if self.kept else ""
        return f"{self.change}{how[self.manner]}{verbs}{kept}"

    @property
    def look(self) -> tuple[object, ...]:
        """What makes two cells look the same."""
        return self.change, self.manner, self.names, self.verbs, self.kept


class Kind(StrEnum):
    """What a row is about."""

    RESOURCE = "resource"
    UNSERVED = "unserved"
    URL = "url"
    REMAINDER = "remainder"


@dataclass(frozen=True)
class Row:
    """Resources that are permitted alike. `cells` stand in the order of the columns, None for nothing.

    `resources` are as rules write them. `gravity` is the weight of the worst capability the row proves, 0 to 100.
    """

    kind: Kind
    group: str
    resources: tuple[str, ...]
    cells: tuple[Cell | None, ...]
    gravity: int = 0
    note: str = ""

    @property
    def label(self) -> str:
        """The row's name, shortened: `secrets`, `deployments, jobs and 3 more`."""
        shown = ", ".join(self.resources[:4])
        return f"{shown} and {len(self.resources) - 4} more" if len(self.resources) > 4 else shown

    @property
    def look(self) -> tuple[object, ...]:
        """What makes two rows look the same."""
        return tuple(cell and cell.look for cell in self.cells)


@dataclass(frozen=True)
class Matrix:
    """A table of permissions. `rows` are the few worth showing at once, `rest` all others, `inert` what grants nothing.

    `actions` counts the permitted actions that exist today; with `open` future ones are permitted too. `cut_off` is ""
    or says in plain words why there is no table, or none of changes.
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    rest: tuple[Row, ...]
    inert: tuple[Inert, ...]
    actions: int
    open: bool
    cut_off: str = ""
