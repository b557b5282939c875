"""Label selectors, by which an aggregated ClusterRole chooses whose rules it takes."""

from collections.abc import Mapping
from typing import Any

import msgspec


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


class Selector(msgspec.Struct, frozen=True):
    """A label selector: all its requirements must hold. Without any it matches everything."""

    requirements: tuple[Requirement, ...] = ()

    @classmethod
    def of_manifest(cls, selector: Mapping[str, Any]) -> "Selector":
        """Read matchLabels and matchExpressions (LabelSelectorAsSelector in apimachinery/pkg/apis/meta/v1)."""
        labels = selector.get("matchLabels") or {}
        expressions = selector.get("matchExpressions") or ()
        return cls(
            (
                *(Requirement(str(key), "In", (str(value),)) for key, value in labels.items()),
                *(
                    Requirement(
                        str(expression.get("key")),
                        str(expression.get("operator")),
                        tuple(expression.get("values") or ()),
                    )
                    for expression in expressions
                ),
            )
        )

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Answer whether an object with these labels is selected."""
        return all(requirement.matches(labels) for requirement in self.requirements)
