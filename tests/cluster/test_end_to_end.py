"""A real API server posts its audit events over TLS to a live Rolecall, and Rolecall takes a role away there.

Everything is set up as the documentation says: by `manage.py add_cluster`, and with the account of deploy/rbac.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import urllib3
from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.conftest import ARGUMENTS, WIDE
from tests.cluster import live
from tests.cluster.conftest import APIServer, api_server_of
from tests.cluster.control_plane import plane
from tests.cluster.control_plane.plane import AuditWebhook
from tests.cluster.live import Browser, Rolecall, alert_path, eventually, plan_digest
from tests.cluster.scenarios import APPLY, BINDINGS, JSON_PATCH, MERGE, ROLES, binding, role, user
from tests.cluster.test_creations_are_detected import MARKUP
from tests.left_out import CHROMIUM

pytestmark = pytest.mark.control_plane

ACCOUNT = live.ROOT / "deploy" / "rbac"
# Above this an event loses what was sent and answered: far less than we advise, so that a test can do it.
EVENT_LIMIT = 200_000
NESTED = '{"a":' * 5000 + "1" + "}" * 5000
SECRETS = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}]
MALLORY = "mallory"


@dataclass(frozen=True)
class House:
    """A live Rolecall, the API server that reports to it, and a person who looks at its pages."""

    rolecall: Rolecall
    api_server: APIServer
    person: Browser

    def alert(self, title: str, seconds: float = 30) -> str:
        """Return the address of the open alert of this title, once the queue shows it."""
        path = eventually(lambda: alert_path(self.person.open("/"), title), seconds)
        assert path, f"{title!r} is not in the queue"
        return path

    def shows(self, path: str, words: str) -> bool:
        """Tell whether a page comes to hold these words."""
        return eventually(lambda: words in html.unescape(self.person.open(path)))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("rolecall")
    with live.running(folder) as rolecall:
        policy = folder / "audit-policy.yaml"
        policy.write_text(rolecall.printed["audit_policy"])
        webhook = AuditWebhook(
            rolecall.printed["kubeconfig"],
            rolecall.certificate_authority,
            (
                *(flag for flag in rolecall.printed["flags"] if "-file=" not in flag),
                "--audit-webhook-batch-max-wait=200ms",
                f"--audit-webhook-truncate-max-event-size={EVENT_LIMIT}",
            ),
        )
        users = {MALLORY: ["system:masters"]}
        with plane.start(users=users, audit_policy=policy, webhook=webhook, controllers=False) as running:
            person = Browser(rolecall)
            person.log_in()
            _connect(person, running)
            with api_server_of(running) as api_server:
                yield House(rolecall, api_server, person)


def _connect(person: Browser, running: plane.ControlPlane) -> None:
    """Install the account in the cluster, and enter its token where an administrator does."""
    files = [f"--filename={ACCOUNT / name}.yaml" for name in ("account", "reader", "guard", "revoker")]
    running.kubectl("apply", *files)
    page = "/administration/alerts/cluster/"
    (number,) = set(re.findall(rf"{page}(\d+)/change/", person.open(page)))
    person.post(
        f"{page}{number}/change/",
        name=live.CLUSTER,
        api_address=running.address,
        certificate_authority=running.certificate_authority,
        api_token=running.kubectl("create", "token", "rolecall", "--namespace=rolecall"),
        readable="on",
        revocable="on",
        private_address_allowed="on",
    )


def test_a_created_role_is_found_revoked_and_its_return_noticed(house: House) -> None:
    created = house.api_server.ask("POST", ROLES, role("e2e", SECRETS), user=MALLORY)
    assert created[0] == house.api_server.ask("POST", BINDINGS, binding("e2e", "e2e", user("jane")), user=MALLORY)[0]
    path = house.alert("ClusterRole e2e created")
    assert house.shows(path, MALLORY)

    digest = eventually(lambda: plan_digest(house.person.open(f"{path}/revoke")))
    assert digest, house.person.open(f"{path}/revoke")
    house.person.post(f"{path}/revoke", mode="revoke", digest=digest, reason="Not authorised", typed_name="e2e")
    assert house.shows(f"{path}/revoke", "Gone, and verified on the cluster."), house.person.open(f"{path}/revoke")
    assert house.api_server.ask("GET", f"{ROLES}/e2e")[0] == 404
    assert house.api_server.ask("GET", f"{BINDINGS}/e2e")[0] == 404
    deletions = [
        event for event in house.api_server.events() if event["verb"] == "delete" and "dryRun" not in str(event)
    ]
    assert [(each["user"]["username"], each["objectRef"]["resource"]) for each in deletions] == [
        ("system:serviceaccount:rolecall:rolecall", "clusterrolebindings"),
        ("system:serviceaccount:rolecall:rolecall", "clusterroles"),
    ]

    house.person.post(f"{path}/watch", days="7")
    assert house.api_server.ask("POST", ROLES, role("e2e", SECRETS), user=MALLORY)[0] == 201
    assert house.shows(path, "ClusterRole e2e returned")


@pytest.fixture
def page(house: House) -> Iterator[Page]:
    """A page of Chromium, logged in."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        # The certificate is of an authority that only this test knows.
        context = chromium.new_context(viewport=WIDE, base_url=house.rolecall.address, ignore_https_errors=True)
        page = context.new_page()
        page.goto("/login")
        page.get_by_label("Name").fill(live.PERSON)
        page.get_by_label("Password").fill(live.PASSWORD)
        page.get_by_role("button", name="Log in").click()
        yield page
        chromium.close()


@pytest.mark.browser
def test_one_click_in_a_browser_takes_a_role_from_the_real_cluster(house: House, page: Page) -> None:
    house.api_server.ask("POST", ROLES, role("clicked", SECRETS), user=MALLORY)
    house.api_server.ask("POST", BINDINGS, binding("clicked", "clicked", user("jane")), user=MALLORY)
    page.goto(house.alert("ClusterRole clicked created"))
    button = page.get_by_role("button", name="Revoke role and 1 binding")
    expect(button).to_be_visible(timeout=30_000)
    assert house.api_server.ask("GET", f"{ROLES}/clicked")[0] == 200
    button.click()
    expect(page.locator("main")).to_contain_text("Gone, and verified on the cluster.", timeout=30_000)
    expect(page.locator("main")).to_contain_text("The cluster answers that it does not exist (404).")
    assert [house.api_server.ask("GET", f"{each}/clicked")[0] for each in (ROLES, BINDINGS)] == [404, 404]


@pytest.mark.parametrize(
    ("name", "patch", "content_type"),
    [
        ("malformed", "{{{", MERGE),
        ("malformed-operations", "{{{", JSON_PATCH),
        ("yaml", "kind: ClusterRole\nmetadata: {}\n", APPLY),
        ("nested", f'[{{"op":"test","path":"/a","value":{NESTED}}}]', JSON_PATCH),
        ("not-unicode", b'{"metadata":{"labels":{"a":"\xff"}}}', MERGE),
    ],
)
def test_a_patch_that_cannot_be_read_takes_no_other_event_along(
    house: House, name: str, patch: str | bytes, content_type: str
) -> None:
    house.api_server.ask("PATCH", f"{ROLES}/view?fieldManager=m", patch, user=MALLORY, content_type=content_type)
    assert house.api_server.ask("POST", ROLES, role(f"beside-{name}"), user=MALLORY)[0] == 201
    house.api_server.ask("PATCH", f"{ROLES}/view?fieldManager=m", patch, user=MALLORY, content_type=content_type)
    house.alert(f"ClusterRole beside-{name} created")


def test_an_absurd_audit_id_hides_no_creation(house: House) -> None:
    # The answer repeats the ID in a header that is too long for Python.
    with pytest.raises(urllib3.exceptions.ProtocolError):
        house.api_server.ask("POST", ROLES, role("absurd"), user=MALLORY, audit_id="A" * 150_000)
    house.alert("ClusterRole absurd created")


def test_a_role_too_large_for_its_event_is_found(house: House) -> None:
    names = [f"pod-{number:05}" for number in range(20_000)]
    rules = [{"apiGroups": [""], "resources": ["pods"], "resourceNames": names, "verbs": ["get"]}, *SECRETS]
    assert house.api_server.ask("POST", ROLES, role("large", rules), user=MALLORY)[0] == 201
    house.alert("ClusterRole large created")


def test_a_name_that_is_markup_is_shown_as_text(house: House) -> None:
    assert house.api_server.ask("POST", ROLES, role(MARKUP), user=MALLORY)[0] == 201
    path = house.alert(f"ClusterRole {MARKUP} created")
    for page in ("/", path, f"{path}/revoke"):
        assert "<img" not in house.person.open(page)
