"""Showing what an attacker may have written: every invisible character becomes an escape that can be seen."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from alerts import detections
from alerts.audit import redaction
from alerts.audit import visible as visible_text
from alerts.models import Alert

register = template.Library()


@register.filter
def visible(value: Any) -> str:
    """Return the value as one visible line; Django escapes it afterwards like any other text."""
    return visible_text.visible("" if value is None else str(value))


@register.filter
def without_secrets(value: str | None) -> str:
    """Return the text without tokens and authorization headers."""
    return redaction.text(value or "")


@register.filter
def listed(values: Iterable[Any] | None) -> str:
    """Return the values as one visible line, with commas between them.

    Django's own `join` escapes each, and what it returns would be escaped once more after `visible`.
    """
    return ", ".join(visible(value) for value in values or ())


@register.filter
def visible_lines(value: Any) -> str:
    """Return the value with its own lines kept, and every other invisible character visible."""
    return "\n".join(visible_text.visible(line) for line in str(value or "").split("\n"))


@register.simple_tag
def story(parts: list[list[str]]) -> SafeString:
    """Render an alert's first line from its pairs of emphasis (empty, "strong" or "code") and text."""
    forms = {"strong": "<b>{}</b>", "code": "<code>{}</code>"}
    return format_html_join(
        "", "{}", ((format_html(forms.get(emphasis, "{}"), visible(text)),) for emphasis, text in parts)
    )


@register.simple_tag
def headline(alert: Alert) -> SafeString:
    """Render an alert's title with the name of its object marked in it."""
    name = alert.object.name if alert.object else ""
    before, found, after = alert.title.partition(name) if name else (alert.title, "", "")
    marked = format_html('<span class="mono name">{}</span>', visible(found)) if found else ""
    return format_html("{}{}{}", visible(before), marked, visible(after))


@register.simple_tag
def techniques(alert: Alert) -> tuple[str, ...]:
    """Return the ids of the ATT&CK techniques that the alert's detection looks for."""
    return detections.TECHNIQUES.get(alert.detection, ())


@register.simple_tag
def when(at: datetime | str | None) -> SafeString:
    """Render a time in UTC with how long ago it was; the reader's own time is added where there is JavaScript."""
    if not at:
        return format_html('<span class="soft">{}</span>', "never")
    if isinstance(at, str):
        at = datetime.fromisoformat(at)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S} UTC", age(at)
    )


@register.filter
def age(at: datetime) -> str:
    """Return how long ago it was, or how long it is until then, in one unit: "12 min", "3 h"."""
    seconds = abs((timezone.now() - at).total_seconds())
    for limit, unit, size in ((60, "s", 1), (3600, "min", 60), (86_400, "h", 3600)):
        if seconds < limit:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds // 86_400)} d"


@register.filter
def as_json(value: Any) -> str:
    """Return the value as indented JSON, in which every invisible character is an escape."""
    return visible_lines(json.dumps(value, indent=2, ensure_ascii=False))
