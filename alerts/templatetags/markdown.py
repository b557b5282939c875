"""Notes in Markdown, rendered and sanitised: what comes out is safe to show, whatever went in."""

import nh3
from django import template
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

from alerts.templatetags.untrusted import visible_lines

register = template.Library()

# Raw HTML is shown as text; images would fetch from wherever the author said.
_renderer = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table").disable("image")
_TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "hr", "li", "ol", "p", "pre", "strong", "table",
    "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip


@register.filter
def markdown(text: str) -> SafeString:
    """Return the text as HTML made of harmless tags only."""
    clean = nh3.clean(
        _renderer.render(visible_lines(text)),
        tags=_TAGS,
        attributes={"a": {"href", "title"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(clean)  # noqa: S308 -- nh3 sanitised it on the line above
