"""Text that an attacker chose, made visible: control, bidirectional and zero-width characters show as escapes."""

import logging
import re

# C0 and C1 controls, surrogates, soft hyphen, zero-width and bidirectional marks (UAX #9), line separators,
# variation selectors, tags and the byte order mark: everything that changes how the rest of a line looks.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    r"""Return the text on one line, with every invisible character written as an escape such as \u202e."""
    return _INVISIBLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def storable(text: str) -> str:
    """Return the text without what a database cannot hold: NUL and lone surrogates become their escapes."""
    return re.sub("[\x00\ud800-\udfff]", _escape, text)


class LogFormatter(logging.Formatter):
    """Formats log records so that nothing in a message can start a line of its own or colour a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines; only those of a traceback break."""
        record.msg, record.args = visible(record.getMessage()), None
        return super().format(record)
