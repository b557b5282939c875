"""Servers that misbehave on purpose: real sockets, scripted answers."""

import ssl
import threading
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self, override

from aiosmtpd.smtp import SMTP, Envelope, Session

from alerts.notifications.sinks import MailSink


@dataclass(frozen=True)
class Reply:
    """What an HTTP server answers. `hangs` keeps the client waiting until the server stops."""

    status: int = 200
    body: bytes = b'{"ok": true, "channel": "C1", "ts": "1.2"}'
    headers: dict[str, str] = field(default_factory=dict)
    hangs: bool = False


@dataclass(frozen=True)
class Asked:
    """What an HTTP server was asked."""

    path: str
    headers: Message
    body: bytes


class HTTPStandIn(ThreadingHTTPServer):
    """Answers every request with the next reply of its script, the last one for ever."""

    daemon_threads = True

    def __init__(self, *replies: Reply, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.replies = list(replies)
        self.asked: list[Asked] = []
        self.stopped = threading.Event()
        self.port = int(self.server_address[1])
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_problem: object) -> None:
        self.stopped.set()
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: HTTPStandIn

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(Asked(self.path, self.headers, body))
        script = self.server.replies
        reply = script.pop(0) if len(script) > 1 else script[0]
        if reply.hangs:
            self.server.stopped.wait()
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST  # noqa: N815  the name http.server calls

    @override
    def log_message(self, format: str, *args: Any) -> None:
        pass


class MailStandIn(MailSink):
    """A mail server that answers RCPT and DATA with the next reply of a script; where it is used up, mail is taken."""

    def __init__(self, directory: Path, *, recipients: list[str] | None = None, data: list[str] | None = None) -> None:
        super().__init__(directory)
        self.recipients = recipients or []
        self.data = data or []

    async def handle_RCPT(  # noqa: N802  the name aiosmtpd calls
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.recipients:
            return self.recipients.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    @override
    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
        return self.data.pop(0) if self.data else await super().handle_DATA(_server, _session, envelope)
