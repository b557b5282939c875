"""Label selectors, by which an aggregated ClusterRole chooses whose rules it takes."""

from collections.abc import Mapping
from typing import Any

import msgspec

from alerts.rbac.rules import InvalidRules


class Requirement(msgspec.Struct, frozen=True):
    """One condition on one label. `operator` is In, NotIn, Exists or DoesNotExist."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Answer whether labels meet it; NotIn is met by a label that is not there.

        Follows Requirement.Matches (apimachinery/pkg/labels/selector.go). An unknown operator matches nothing.
        """
        value = labels.get(self.key)
        if self.operator == "In":
            return value is not None and value in self.values
        if self.operator == "NotIn":
            return value is None or value not in self.values
        if self.operator == "Exists":
            return value is not None
        return self.operator == "DoesNotExist" and value is None


class _Expression(msgspec.Struct, frozen=True):
    key: str
    operator: str
    values: tuple[str, ...] | None = None


class _Written(msgspec.Struct, frozen=True, rename="camel"):
    match_labels: dict[str, str] | None = None
    match_expressions: tuple[_Expression, ...] | None = None


class Selector(msgspec.Struct, frozen=True):
    """A label selector: all its requirements must hold. Without any it matches everything."""

    requirements: tuple[Requirement, ...] = ()

    @classmethod
    def of_manifest(cls, selector: Mapping[str, Any]) -> "Selector":
        """Read matchLabels and matchExpressions (LabelSelectorAsSelector in apimachinery/pkg/apis/meta/v1).

        Raises InvalidRules where one is of the wrong type.
        """
        try:
            written = msgspec.convert(selector, _Written)
        except msgspec.ValidationError as wrong:
            raise InvalidRules(f"the label selector is malformed: {wrong}") from None
        labels = (Requirement(key, "In", (value,)) for key, value in (written.match_labels or {}).items())
        expressions = written.match_expressions or ()
        return cls((*labels, *(Requirement(each.key, each.operator, each.values or ()) for each in expressions)))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Answer whether an object with these labels is selected."""
        return all(requirement.matches(labels) for requirement in self.requirements)
