"""Text that an attacker chose, made visible: control, bidirectional and zero-width characters show as escapes."""

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any, override

# C0 and C1 controls, surrogates, soft hyphen, zero-width and bidirectional marks (UAX #9), line separators,
# variation selectors, tags and the byte order mark: everything that changes how the rest of a line looks.
_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def visible(text: str) -> str:
    r"""Return the text on one line, with every invisible character written as an escape such as \u202e."""
    # Nearly everything is plain, which is told much sooner.
    return text if text.isascii() and text.isprintable() else _INVISIBLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def storable(text: str) -> str:
    """Return the text without what a database cannot hold: NUL and lone surrogates become their escapes."""
    return text if text.isprintable() else _UNSTORABLE.sub(_escape, text)


class LogFormatter(logging.Formatter):
    """Formats log records so that nothing in a message can start a line of its own or colour a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines; only those of a traceback break, and each of them is indented."""
        record.msg, record.args = visible(record.getMessage()), None
        return super().format(record)

    @override
    def formatException(self, ei: Any) -> str:
        """Return the traceback, in which an exception may quote what somebody wrote."""
        return "\n".join(f"  {visible(line)}" for line in super().formatException(ei).splitlines())


class JSONFormatter(LogFormatter):
    """Formats log records as one JSON object a line: time, level, logger, message, and a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON in ASCII. What is decoded from it is as harmless as a line of LogFormatter's."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": visible(record.getMessage()),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)
