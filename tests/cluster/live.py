"""A live Rolecall: the programs of embedded mode with a database of their own, reached over TLS."""

import html
import http.client
import json
import re
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import urllib3
from django.test import override_settings

from alerts.management import embedded
from alerts.management.supervision import Program, Supervisor
from tests.cluster.control_plane.certificates import Authority, KeyPair
from triage import valkey

ROOT = Path(__file__).resolve().parents[2]
PERSON, PASSWORD = "rita", "correct horse battery staple"
CLUSTER = "real"


# What an administrator types first, in one process: each costs seconds before it begins.
COMMANDS = f"""
import django
from django.core.management import call_command
django.setup()
call_command("migrate", verbosity=0)
call_command("collectstatic", verbosity=0, interactive=False)
call_command("createsuperuser", verbosity=0, interactive=False, username="{PERSON}", email="{PERSON}@example.org")
call_command("add_cluster", "{CLUSTER}", json=True)
"""


@dataclass(frozen=True)
class Rolecall:
    """Where it is, and what `manage.py add_cluster` printed for the API server of CLUSTER."""

    address: str
    certificate_authority: Path
    printed: dict[str, Any]


@contextmanager
def running(folder: Path) -> Iterator[Rolecall]:
    """Run web, worker and Valkey while the context lasts, known to PERSON, who may do everything."""
    authority = Authority(folder, "rolecall-authority")
    with embedded.listener(0) as web_socket, pytest.MonkeyPatch.context() as patch:
        address = f"https://127.0.0.1:{web_socket.getsockname()[1]}"
        for name, value in {
            "DATA_DIR": str(folder),
            "DATABASE_URL": f"sqlite:///{folder}/rolecall.sqlite3",
            "BROKER_URL": "",
            "PUBLIC_URL": address,
            "REVOKE_GRACE_SECONDS": "0",
            "DJANGO_SETTINGS_MODULE": "triage.settings",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        }.items():
            patch.setenv(name, value)
        typed = subprocess.run([sys.executable, "-c", COMMANDS], cwd=ROOT, check=True, capture_output=True, text=True)
        live = Rolecall(address, authority.certificate, json.loads(typed.stdout))
        socket = valkey.socket(folder)
        broker = {"VALKEY_SOCKET": socket, "CELERY_BROKER_URL": f"redis+socket://{socket}?virtual_host=0"}
        with (
            override_settings(DATA_DIR=folder, PUBLIC_URL=address, **broker),
            Supervisor(sys.stderr.write) as supervisor,
        ):
            web = _over_tls(embedded.web(web_socket), authority.sign_server("rolecall"), live)
            # At the end they have nothing to save.
            valkey_server, worker, web = (
                replace(program, seconds_to_stop=0) for program in (embedded.valkey(), embedded.worker(web_socket), web)
            )
            supervisor.start(valkey_server)
            supervisor.start(worker, web)
            yield live


def _over_tls(web: Program, pair: KeyPair, live: Rolecall) -> Program:
    """Return the web process with a certificate: an API server sends its token over https only."""
    options = ("--certfile", str(pair.certificate), "--keyfile", str(pair.key))
    context = ssl.create_default_context(cafile=live.certificate_authority)

    def answers() -> bool:
        connection = http.client.HTTPSConnection(live.address.removeprefix("https://"), context=context, timeout=20)
        with suppress(OSError, http.client.HTTPException), closing(connection):
            connection.request("GET", "/login")
            return connection.getresponse().status == 200
        return False

    return replace(web, command=(*web.command, *options), answers=answers)


class Browser:
    """What a person without JavaScript does: opens pages, follows redirects, posts forms."""

    def __init__(self, live: Rolecall) -> None:
        self._address = live.address
        self._pool = urllib3.PoolManager(ca_certs=str(live.certificate_authority))
        self._cookies: dict[str, str] = {}

    def log_in(self) -> None:
        """Log in as PERSON."""
        self.open("/login")
        assert "Log out" in self.post("/login", username=PERSON, password=PASSWORD)

    def open(self, path: str) -> str:
        """Return a page."""
        return self._send("GET", path)

    def post(self, path: str, **fields: str) -> str:
        """Return the page that follows a form."""
        token = self._cookies["csrftoken"]
        return self._send("POST", path, urlencode({"csrfmiddlewaretoken": token, **fields}))

    def _send(self, method: str, path: str, body: str = "") -> str:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        headers = {"Cookie": cookies, "Referer": self._address, "Content-Type": "application/x-www-form-urlencoded"}
        answer = self._pool.request(method, self._address + path, body=body, headers=headers, redirect=False)
        for line in answer.headers.getlist("Set-Cookie"):
            self._cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        if answer.status in {301, 302, 303}:
            return self.open(answer.headers["Location"].removeprefix(self._address).partition("#")[0])
        assert answer.status == 200, f"{method} {path}: {answer.status} {answer.data.decode()}"
        return answer.data.decode()


def eventually[Found](find: Callable[[], Found], seconds: float = 30) -> Found:
    """Return what is found, once it is true; the last thing found where that never happens."""
    deadline = time.monotonic() + seconds
    while not (found := find()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def alert_path(page: str, title: str) -> str:
    """Return the address of the alert that a queue shows under this title, or "" where it shows none."""
    found = re.search(rf'href="(/alerts/\d+)[^"]*">{re.escape(html.escape(title))}</a>', page)
    return found[1] if found else ""


def plan_digest(page: str) -> str:
    """Return the digest of the plan that a page offers to run, or "" while it offers none."""
    found = re.search(r'name="digest" value="(\w+)"', page)
    return found[1] if found else ""
