"""A network between Rolecall and a cluster that does what real ones do at the worst moment, where it is told to."""

import contextlib
import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import urlsplit


@dataclass
class Request:
    """A request on its way."""

    method: str
    path: str
    body: dict[str, Any]

    @property
    def rehearsal(self) -> bool:
        """Whether it changes nothing."""
        return "dryRun" in self.path or "dryRun" in self.body


@dataclass
class Answer:
    """An answer that never came from the cluster."""

    code: int
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)


# "lose" drops the request before the cluster sees it, "swallow" the answer after it did.
type Fault = Answer | Literal["lose", "swallow"] | Callable[[], None]


class Network:
    """Forwards requests to an address. Each planned fault meets the first request that it fits, once."""

    def __init__(self, target: str, certificate_authority: str = "") -> None:
        self.target = urlsplit(target).netloc
        self._tls = ssl.create_default_context(cadata=certificate_authority) if certificate_authority else None
        self.requests: list[Request] = []
        self._faults: list[tuple[Callable[[Request], bool], Fault]] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.network = self
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = self._serve()

    def _serve(self) -> threading.Thread:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        return thread

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection to the cluster itself."""
        if self._tls:
            return http.client.HTTPSConnection(self.target, timeout=10, context=self._tls)
        return http.client.HTTPConnection(self.target, timeout=10)

    def plan(self, fault: Fault, *, method: str = "DELETE", contains: str = "", rehearsal: bool = False) -> None:
        """Have a fault meet the next request of that method whose path holds the text; a callable runs before it."""
        self._faults.append(
            (lambda each: each.method == method and contains in each.path and each.rehearsal is rehearsal, fault)
        )

    def fault_of(self, request: Request) -> Fault | None:
        """Return the fault that meets a request, or None."""
        self.requests.append(request)
        for number, (fits, fault) in enumerate(self._faults):
            if fits(request):
                del self._faults[number]
                return fault
        return None

    def sent(self, method: str) -> list[str]:
        """Return the paths of the real requests of a method, in order."""
        return [each.path for each in self.requests if each.method == method and not each.rehearsal]

    def down(self) -> None:
        """Stop listening: connections are refused."""
        self._server.shutdown()
        self._server.server_close()

    def up(self) -> None:
        """Listen again at the same address."""
        host, port = self._server.server_address[:2]
        self._server = _Server((str(host), int(port)), _Handler)
        self._server.network = self
        self._thread = self._serve()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    network: Network

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that were cut on purpose."""


class _Handler(BaseHTTPRequestHandler):
    # One request a connection: an open one would outlive `down`.
    protocol_version = "HTTP/1.0"
    server: _Server

    def _serve(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, json.loads(content) if content else {})
        fault = self.server.network.fault_of(request)
        if fault == "lose":
            return
        if isinstance(fault, Answer):
            self._write(fault.code, _status(fault), fault.headers)
            return
        if callable(fault):
            fault()
        code, body = self._forward(content)
        if fault != "swallow":
            self._write(code, body, {})

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 -- http.server finds methods by these names

    def _forward(self, content: bytes) -> tuple[int, bytes]:
        with contextlib.closing(self.server.network.connect()) as connection:
            connection.request(self.command, self.path, content or None, dict(self.headers))
            answer = connection.getresponse()
            return answer.status, answer.read()

    def _write(self, code: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(code)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name of the overridden method's argument
        """Say nothing."""


def _status(answer: Answer) -> bytes:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": answer.code, "message": answer.message}
    return json.dumps(status).encode()


@contextlib.contextmanager
def network(target: str, certificate_authority: str = "") -> Iterator[Network]:
    """Stand between Rolecall and the address while the context lasts; with an authority the cluster speaks TLS."""
    between = Network(target, certificate_authority)
    try:
        yield between
    finally:
        between.down()
