"""The demo's own mailbox: a folder in which every mail and Slack message that arrived is a file."""

import email
import email.message
import email.policy
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_counter = itertools.count()


@dataclass(frozen=True, slots=True)
class Received:
    """One message as it arrived. `way` is "email" or "slack"; `to` is an address or a channel."""

    way: str
    at: datetime
    to: str
    subject: str
    text: str
    headers: tuple[tuple[str, str], ...] = ()


def keep(directory: Path, content: bytes, *, suffix: str) -> Path:
    """Write what arrived to a file of its own, named so that names sort by time. It appears whole or not at all."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / f"{time.time_ns()}-{next(_counter):04}{suffix}"
    draft = path.with_suffix(".part")
    draft.write_bytes(content)
    return draft.rename(path)


def received(directory: Path, *, limit: int = 100) -> list[Received]:
    """Return the newest messages, the newest first. Files that are none are passed over."""
    files = (path for path in sorted(directory.glob("*"), reverse=True) if path.suffix in _READERS)
    return list(itertools.islice(_readable(files), limit))


def _readable(files: Iterator[Path]) -> Iterator[Received]:
    for path in files:
        try:
            yield _READERS[path.suffix](path)
        except (OSError, ValueError, TypeError, LookupError):
            continue


def _arrived(path: Path) -> datetime:
    return datetime.fromtimestamp(int(path.name.partition("-")[0]) / 1e9, tz=UTC)


def _mail(path: Path) -> Received:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    body = message.get_body(("plain",))
    return Received(
        way="email",
        at=_arrived(path),
        to=str(message.get("To", "")),
        subject=str(message.get("Subject", "")),
        text=str(body.get_content()).replace("\r\n", "\n") if body else "",
        headers=tuple((name, str(value)) for name, value in message.items()),
    )


def _slack(path: Path) -> Received:
    stored = json.loads(path.read_bytes())
    texts = [_unescaped(text) for text in _block_texts(stored["payload"].get("blocks"))]
    return Received(
        way="slack",
        at=_arrived(path),
        to=str(stored["channel"]),
        subject=texts[0] if texts else _unescaped(str(stored["payload"].get("text", ""))),
        text="\n\n".join(texts[1:]),
    )


def _block_texts(blocks: Any) -> Iterator[str]:
    for block in blocks if isinstance(blocks, list) else []:
        yield str(block["text"]["text"])


def _unescaped(text: str) -> str:
    """Return the text as Slack's clients show it."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


_READERS = {".eml": _mail, ".json": _slack}
