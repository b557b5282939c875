"""The practice cluster as an HTTP server: in a process of its own, or in a test."""

import contextlib
import json
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from alerts.cluster.kinds import Manifest, ObjectReference
from alerts.cluster.practice import recordings
from alerts.cluster.practice.api import PracticeAPI, Received, writes
from alerts.cluster.practice.hook import Hook
from alerts.cluster.practice.store import Store
from alerts.cluster.practice.users import User

# MaxRequestBodyBytes of a real API server
BODY_LIMIT = 3 * 1024 * 1024
_EVENTS_KEPT = 10_000
OWN_ACCOUNT = ObjectReference("ServiceAccount", "rolecall", "rolecall")
ADMINISTRATOR = User("admin", ("system:masters",))


@dataclass
class PracticeCluster:
    """A running practice cluster. `token` is that of Rolecall's account, `admin_token` that of a superuser.

    `events` holds the audit events so far, also where there is no hook.
    """

    address: str
    token: str
    admin_token: str
    api: PracticeAPI
    events: deque[Manifest]

    def token_for(self, name: str, groups: Sequence[str] = ()) -> str:
        """Return a token for a user of this name and groups."""
        return self.api.tokens.issue(User(name, tuple(groups)))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: PracticeAPI


class _Handler(BaseHTTPRequestHandler):
    """Turns HTTP into calls of the API. The controllers run after the answer has gone out."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > BODY_LIMIT or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            self._write(413, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 413}, "")
            return
        content = self.rfile.read(int(length))
        received = Received(
            self.command,
            self.path,
            {name.lower(): value for name, value in self.headers.items()},
            content,
            self.client_address[0],
        )
        code, answer, audit_id = self.server.api.answer(received)
        self._write(code, answer, audit_id)
        if writes(self.command):
            self.server.api.settle()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - http.server finds methods by these names

    def _write(self, code: int, answer: Manifest, audit_id: str) -> None:
        body = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if audit_id.isascii() and audit_id.isprintable():
            self.send_header("Audit-ID", audit_id)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the overridden method's argument
        """Say nothing: the audit events say it all."""


@contextlib.contextmanager
def running(
    *,
    port: int = 0,
    hook: Hook | None = None,
    replay: Sequence[Path] = (),
    shift_to_now: bool = False,
    send_replay: bool = False,
    token: str = "",
    admin_token: str = "",
) -> Iterator[PracticeCluster]:
    """Run a practice cluster on loopback while the context lasts; port 0 takes a free one.

    `replay` are audit logs whose writes have happened in it. `shift_to_now` moves all their times so that the newest is
    now; `send_replay` sends the replayed events to the hook as well. Tokens that are not given are made.
    Raises OSError where the port is taken.
    """
    past = recordings.read(replay)
    newest = recordings.time_of(past[-1]["stageTimestamp"]) if past else datetime.now(UTC)
    if shift_to_now:
        past = recordings.shifted(past, datetime.now(UTC) - newest)
    store = Store()
    recordings.seed(store, before=recordings.time_of(past[0]["stageTimestamp"]) if past else newest - timedelta(days=1))
    recordings.replay(store, past)
    events: deque[Manifest] = deque(maxlen=_EVENTS_KEPT)

    def record(event: Manifest) -> None:
        events.append(event)
        if hook is not None:
            hook.send(event)

    api = PracticeAPI(store, record)
    server = _Server(("127.0.0.1", port), _Handler)
    server.api = api
    with server, contextlib.ExitStack() as stack:
        if hook is not None:
            stack.enter_context(hook)
            if send_replay:
                hook.send_all(past)
        own = store.find(OWN_ACCOUNT)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield PracticeCluster(
                address=f"http://127.0.0.1:{server.server_address[1]}",
                token=api.tokens.issue_for_account(own, token) if own else "",
                admin_token=api.tokens.issue(ADMINISTRATOR, admin_token),
                api=api,
                events=events,
            )
        finally:
            server.shutdown()
            thread.join()
