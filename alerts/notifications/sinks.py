"""The demo's own mail server and stand-in for Slack. They speak the real protocols and keep what arrives in a folder.

Both listen on this machine only, run in threads, and are context managers: the port is known once they are entered.
"""

import asyncio
import json
import re
import socket
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self, override
from urllib.parse import parse_qs

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from alerts.notifications import mailbox

LOOPBACK = "127.0.0.1"
BODY_LIMIT = 1024 * 1024
_BOT_TOKEN = re.compile(r"xoxb-[\w-]+")


class MailSink(Controller):
    """A mail server that accepts every mail and keeps it."""

    def __init__(self, directory: Path, *, port: int = 0) -> None:
        self.directory = directory
        self.connections: set[asyncio.BaseTransport] = set()
        self.socket = socket.create_server((LOOPBACK, port))
        super().__init__(self, hostname=LOOPBACK, port=self.socket.getsockname()[1], data_size_limit=BODY_LIMIT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._hang_up(), self.loop).result()
        self.stop()

    def factory(self) -> SMTP:
        """Make the protocol of one connection, which the sink can end."""
        return _Connection(self, **self.SMTP_kwargs)

    async def handle_DATA(  # noqa: N802  the name aiosmtpd calls
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Keep one mail."""
        await asyncio.to_thread(mailbox.keep, self.directory, envelope.original_content or b"", suffix=".eml")
        return "250 2.0.0 Kept"

    def _create_server(self) -> Any:
        # With the socket bound beforehand: a busy port is an error of whoever starts, and 0 becomes a number.
        return self.loop.create_server(self._factory_invoker, sock=self.socket)

    async def _hang_up(self) -> None:
        """Let nobody in any more, and end every conversation before the loop ends.

        The server closes afterwards: a connection that it has accepted and not begun to serve it would then forget.
        """
        self.loop.remove_reader(self.socket)
        while self.connections or len(asyncio.all_tasks()) > 1:
            for transport in self.connections:
                transport.close()
            await asyncio.sleep(0.001)


class _Connection(SMTP):
    """The conversation with one client, known to its sink while it lasts."""

    def __init__(self, sink: MailSink, **options: Any) -> None:
        super().__init__(sink, **options)
        self.sink = sink

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.sink.connections.add(transport)
        super().connection_made(transport)

    @override
    def connection_lost(self, error: Exception | None) -> None:
        if self.transport:
            self.sink.connections.discard(self.transport)
        super().connection_lost(error)


class SlackSink(ThreadingHTTPServer):
    """A stand-in for Slack: chat.postMessage and auth.test for every bot's token, and webhooks at /services/."""

    daemon_threads = True

    def __init__(self, directory: Path, *, port: int = 0) -> None:
        super().__init__((LOOPBACK, port), _SlackHandler)
        self.directory = directory

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.server_address[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        super().__exit__(kind, error, trace)


class _SlackHandler(BaseHTTPRequestHandler):
    """Answers as Slack's documentation says: errors of the API come with status 200, those of webhooks do not."""

    server: SlackSink
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > BODY_LIMIT:
            self.close_connection = True
            self._answer(413, "text/plain", b"")
            return
        fields = self._fields(self.rfile.read(int(length)))
        path = self.path.partition("?")[0]
        if path.startswith("/services/"):
            self._take_webhook(fields)
        elif path == "/api/chat.postMessage":
            self._answer_json(self._post_message(fields))
        elif path == "/api/auth.test":
            self._answer_json(self._refusal() or {"ok": True, "team": "Rolecall demo", "user": "rolecall"})
        else:
            self._answer_json({"ok": False, "error": "unknown_method"})

    def _fields(self, body: bytes) -> Mapping[str, Any] | None:
        """Return the fields of a JSON or form body, or None if it is neither."""
        try:
            if self.headers.get_content_type() == "application/json":
                decoded = json.loads(body)
                return decoded if isinstance(decoded, dict) else None
            return {name: values[0] for name, values in parse_qs(body.decode()).items()}
        except (ValueError, RecursionError):
            return None

    def _refusal(self) -> dict[str, Any] | None:
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            return {"ok": False, "error": "not_authed"}
        return None if _BOT_TOKEN.fullmatch(token) else {"ok": False, "error": "invalid_auth"}

    def _post_message(self, fields: Mapping[str, Any] | None) -> dict[str, Any]:
        refusal = self._refusal()
        if refusal:
            return refusal
        if fields is None:
            return {"ok": False, "error": "invalid_json"}
        if not fields.get("channel"):
            return {"ok": False, "error": "channel_not_found"}
        if not fields.get("text") and not fields.get("blocks"):
            return {"ok": False, "error": "no_text"}
        path = self._keep(str(fields["channel"]), fields)
        seconds, _, rest = path.stem.partition("-")
        ts = f"{seconds[:-9]}.{seconds[-9:-3]}"
        return {"ok": True, "channel": f"C{rest}", "ts": ts, "message": {"text": fields.get("text", "")}}

    def _take_webhook(self, fields: Mapping[str, Any] | None) -> None:
        if fields is None:
            self._answer(400, "text/plain", b"invalid_payload")
        elif not fields.get("text") and not fields.get("blocks"):
            self._answer(400, "text/plain", b"no_text")
        else:
            self._keep("webhook", fields)
            self._answer(200, "text/plain", b"ok")

    def _keep(self, channel: str, fields: Mapping[str, Any]) -> Path:
        content = json.dumps({"channel": channel, "payload": fields}).encode()
        return mailbox.keep(self.server.directory, content, suffix=".json")

    def _answer_json(self, answer: dict[str, Any]) -> None:
        self._answer(200, "application/json; charset=utf-8", json.dumps(answer).encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a webhook's path is a secret."""
