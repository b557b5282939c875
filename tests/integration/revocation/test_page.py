"""The page and the button, from the first look to the proof, without JavaScript unless said otherwise."""

import html
import re
from typing import Any, Protocol

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from alerts import tasks
from alerts.models import Alert, Cluster, Revocation
from alerts.services import revocation, workflow
from tests.conftest import logged_in
from tests.integration.revocation.conftest import BINDING, ROLE, Scene, alert_on, ask, later

State = Revocation.State


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What pages wake in the background, which here has no worker."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(tasks, "wake", lambda task, *args, after=0: calls.append((task.name, *args, after)))
    return calls


class Page(Protocol):
    """What a client got."""

    @property
    def content(self) -> bytes: ...


def address(alert: Alert, name: str = "revoke") -> str:
    return reverse(f"alerts:{name}", args=[alert.pk])


def text_of(response: Page) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())))


def click(client: Client, page: str, **changes: str) -> Any:
    """Send the form of the page that asks for the revoke, as a browser would."""
    content = client.get(page).content.decode()
    (form,) = (each for each in re.findall(r"<form.*?</form>", content, re.DOTALL) if 'name="digest"' in each)
    fields = re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', form)
    data = {name: html.unescape(value) for name, value in fields} | changes
    action = re.search(r'action="([^"]+)"', form)
    assert action
    return client.post(action[1], data)


def test_the_page_shows_the_plan_with_everything_there_is_to_know(as_rex: Client, alert: Alert) -> None:
    revocation.plan(alert)
    text = text_of(as_rex.get(address(alert)))
    for said in (
        "Revoke ClusterRole metrics-scraper-v2",
        "✓ same object as seen",
        "✓ rehearsed",
        "service account kube-system/metrics-scraper loses everything it holds",
        "no request depended on it",
        "What it cannot undo",
        "kubectl delete --raw /apis/rbac.authorization.k8s.io/v1/clusterroles/metrics-scraper-v2",
        "Revoke role and 1 binding",
        "Runs after 10 s",
    ):
        assert said in text


def test_one_click_on_the_alert_asks_for_the_revoke_with_the_offered_reason(
    as_rex: Client, alert: Alert, woken: list[tuple[Any, ...]]
) -> None:
    revocation.plan(alert)
    response = click(as_rex, alert.get_absolute_url())
    assert (response.status_code, response["Location"]) == (302, address(alert))
    (run,) = alert.revocations.filter(state=State.SCHEDULED)
    assert run.reason == "Precaution, before the questions are answered"
    assert woken[-1] == ("alerts.tasks.run_revocation", run.pk, 10)


def test_the_reason_offered_comes_from_the_answers_already_given(as_rex: Client, rex: User, alert: Alert) -> None:
    revocation.plan(alert)
    for number, (key, outcome, why) in enumerate(
        [("creator", "not_authorised", "Deploys never run from there"), ("permissions", "excessive", "")], start=1
    ):
        workflow.answer(alert, key, outcome, by=rex, version=number, reason=why)
    click(as_rex, address(alert))
    assert alert.revocations.get(state=State.SCHEDULED).reason == (
        "Not authorised (“Deploys never run from there”); Excessive"
    )


def test_answers_that_speak_for_the_role_offer_no_one_click(as_rex: Client, rex: User, alert: Alert) -> None:
    revocation.plan(alert)
    workflow.answer(alert, "creator", "authorised", by=rex, version=1)
    page = as_rex.get(alert.get_absolute_url()).content.decode()
    assert 'name="digest"' not in page
    assert "Revoke role…" in page


def test_with_warnings_the_button_only_leads_to_the_plan(as_rex: Client, prod: Cluster, scene: Scene) -> None:
    scene.role("managed", labels={"app.kubernetes.io/managed-by": "Helm"})
    alert = alert_on(prod, scene, "managed")
    revocation.plan(alert)
    page = as_rex.get(alert.get_absolute_url()).content.decode()
    assert 'name="digest"' not in page
    assert f'href="{address(alert)}"' in page
    assert "belongs to Helm and will return" in text_of(as_rex.get(address(alert)))


def test_the_key_r_only_goes_to_the_plan(as_rex: Client, alert: Alert) -> None:
    revocation.plan(alert)
    page = as_rex.get(alert.get_absolute_url()).content.decode()
    (element,) = re.findall(r'<(\w+) [^>]*data-key="r"', page)
    assert element == "a"


def test_during_the_grace_the_page_counts_down_and_can_call_it_off(as_rex: Client, alert: Alert, scene: Scene) -> None:
    revocation.plan(alert)
    click(as_rex, address(alert))
    page = as_rex.get(address(alert))
    assert re.search(r"Runs in (9|10) s \. Nothing has happened yet", text_of(page))
    assert 'hx-trigger="every 1s"' in page.content.decode()
    assert "Call off" in text_of(page)
    as_rex.post(address(alert, "revoke_call_off"))
    assert alert.revocations.filter(state=State.CALLED_OFF).count() == 1
    with later(seconds=20):
        assert revocation.due() == []
    assert scene.has(ROLE)


def test_a_double_click_runs_once(as_rex: Client, alert: Alert, scene: Scene, no_grace: None) -> None:
    planned = revocation.plan(alert)
    form = {"digest": planned.digest, "reason": "Not authorised", "mode": "revoke"}
    assert [as_rex.post(address(alert), form).status_code for _ in range(2)] == [302, 302]
    for run in revocation.due() * 2:
        tasks.run_revocation(run)
    assert scene.network.sent("DELETE") == [BINDING.path, ROLE.path]
    assert as_rex.post(address(alert), form).status_code == 409
    assert alert.revocations.count() == 1


def test_the_end_is_shown_with_its_proof_and_polls_no_more(as_rex: Client, alert: Alert, no_grace: None) -> None:
    planned = revocation.plan(alert)
    click(as_rex, address(alert))
    tasks.run_revocation(planned.pk)
    page = as_rex.get(address(alert))
    text = text_of(page)
    assert "Gone, and verified on the cluster." in text
    assert "The cluster answers that it does not exist (404)." in text
    assert "May no longer" in text
    assert "Watched for a return until" in text
    assert "Watched for a return until" in text_of(as_rex.get(alert.get_absolute_url()))
    assert "kubectl create -f -" in text
    assert "every 1s" not in page.content.decode()
    assert as_rex.get(address(alert, "revoke_progress"))["HX-Refresh"] == "true"
    assert "✓ Revoked" in text_of(as_rex.get(alert.get_absolute_url()))


def test_the_part_that_renews_itself_is_the_one_of_the_whole_page(as_rex: Client, alert: Alert) -> None:
    revocation.plan(alert)
    click(as_rex, address(alert))
    part = as_rex.get(address(alert, "revoke_progress"), headers={"HX-Request": "true"}).content.decode().strip()
    whole = as_rex.get(address(alert)).content.decode()
    fixed = re.compile(r'value="\w{64}"|in <b>\d+ s</b>')
    assert part.startswith('<div id="progress"')
    assert fixed.sub("", part) in fixed.sub("", whole)


def test_a_partial_failure_can_be_read_and_continued(
    as_rex: Client, alert: Alert, scene: Scene, no_grace: None
) -> None:
    planned = revocation.plan(alert)
    click(as_rex, address(alert))
    scene.touch(ROLE)
    tasks.run_revocation(planned.pk)
    text = text_of(as_rex.get(address(alert)))
    assert "Partly done" in text
    assert "changed since the plan" in text
    as_rex.post(address(alert, "revoke_plan"), {"mode": "revoke"})
    text = text_of(as_rex.get(address(alert)))
    assert "Partly done" in text
    assert "Revoke role" in text
    click(as_rex, address(alert), reason="The rest")
    run = alert.revocations.get(state=State.SCHEDULED)
    tasks.run_revocation(run.pk)
    run.refresh_from_db()
    assert run.state == State.DONE
    assert not scene.has(ROLE)


def test_without_a_reason_nothing_runs_and_the_page_says_so(as_rex: Client, alert: Alert) -> None:
    revocation.plan(alert)
    response = click(as_rex, address(alert), reason="")
    assert response.status_code == 422
    assert "Say in a sentence why" in text_of(response)
    assert not alert.revocations.filter(state=State.SCHEDULED).exists()


def test_a_plan_that_moved_on_answers_409_with_the_new_one(as_rex: Client, alert: Alert, scene: Scene) -> None:
    seen = revocation.plan(alert)
    scene.bind(ROLE.name, "second")
    newer = revocation.plan(alert)
    response = click(as_rex, address(alert), digest=seen.digest, reason="kept text")
    assert response.status_code == 409
    page = response.content.decode()
    assert newer.digest in page
    assert "kept text" in page
    assert not alert.revocations.filter(state=State.SCHEDULED).exists()


def test_grave_warnings_ask_for_the_typed_name(as_rex: Client, alert: Alert, scene: Scene) -> None:
    scene.remove(ROLE)
    scene.role(ROLE.name)
    revocation.plan(alert)
    assert "Type metrics-scraper-v2 to go on" in text_of(as_rex.get(address(alert)))
    assert click(as_rex, address(alert), reason="Again").status_code == 422
    assert click(as_rex, address(alert), reason="Again", typed_name="metrics-scraper-v2").status_code == 302


def test_an_analyst_sees_the_plan_and_a_disabled_button_with_the_reason(as_ana: Client, alert: Alert) -> None:
    planned = revocation.plan(alert)
    page = as_ana.get(address(alert)).content.decode()
    assert re.search(r'<button class="button danger" disabled title="Needs the group Responder.">', page)
    form = {"digest": planned.digest, "reason": "x", "mode": "revoke"}
    assert as_ana.post(address(alert), form).status_code == 403
    assert 'name="digest"' not in as_ana.get(alert.get_absolute_url()).content.decode()


def test_opening_the_alert_or_the_page_has_a_missing_plan_made(
    as_rex: Client, alert: Alert, woken: list[tuple[Any, ...]]
) -> None:
    as_rex.get(alert.get_absolute_url())
    page = as_rex.get(address(alert))
    assert [call[0] for call in woken] == ["alerts.tasks.plan_revocation"] * 2
    assert "The plan is being made" in text_of(page)
    assert 'hx-trigger="every 2s"' in page.content.decode()
    part = as_rex.get(address(alert), headers={"HX-Request": "true"}).content.decode().strip()
    assert part.startswith('<div id="plan"')
    assert len(woken) == 2
    tasks.plan_revocation(alert.pk)
    assert "Revoke role and 1 binding" in text_of(as_rex.get(address(alert), headers={"HX-Request": "true"}))


def test_the_button_tells_when_its_plan_is_ready(as_rex: Client, alert: Alert) -> None:
    before = as_rex.get(address(alert, "revoke_button")).content.decode()
    assert "planning…" in before
    assert "every 2s" in before
    revocation.plan(alert)
    after = as_rex.get(address(alert, "revoke_button")).content.decode()
    assert 'name="digest"' in after
    assert "every 2s" not in after


def test_bindings_are_chosen_on_the_page_of_unbinding(as_rex: Client, alert: Alert, scene: Scene) -> None:
    scene.bind(ROLE.name, "second")
    as_rex.post(address(alert, "revoke_plan"), {"mode": "unbind"})
    assert "Unbind 2 bindings" in text_of(as_rex.get(address(alert), {"mode": "unbind"}))
    chosen = {"mode": "unbind", "choose": "bindings", "binding": "ClusterRoleBinding//second"}
    as_rex.post(address(alert, "revoke_plan"), chosen)
    assert "Unbind 1 binding" in text_of(as_rex.get(address(alert), {"mode": "unbind"}))
    click(as_rex, address(alert) + "?mode=unbind")
    assert [each["name"] for each in alert.revocations.get(state=State.SCHEDULED).plan] == ["second"]


def test_a_cluster_that_cannot_be_reached_is_said_with_a_retry(as_rex: Client, alert: Alert, scene: Scene) -> None:
    scene.network.down()
    revocation.plan(alert)
    scene.network.up()
    page = as_rex.get(address(alert))
    assert "Nothing answers at" in text_of(page)
    assert "Try again" in text_of(page)
    as_rex.post(address(alert, "revoke_plan"), {"mode": "revoke"})
    assert "Revoke role and 1 binding" in text_of(as_rex.get(address(alert)))


def test_what_somebody_did_by_hand_is_checked_on_the_cluster(as_ana: Client, alert: Alert, scene: Scene) -> None:
    alert.cluster.revocable = False
    alert.cluster.save()
    revocation.plan(alert)
    response = as_ana.post(address(alert, "revoke_check"), follow=True)
    assert "ClusterRole metrics-scraper-v2: It exists." in text_of(response)
    scene.remove(BINDING)
    scene.remove(ROLE)
    response = as_ana.post(address(alert, "revoke_check"), follow=True)
    assert "Gone, and verified on the cluster." in text_of(response)
    assert alert.steps.get(key="revoke").outcome == "revoked"


@pytest.mark.parametrize("name", ["<img src=x onerror=alert(1)>", "new\nline\u202e", "'\"><script>"])
def test_names_an_attacker_chose_are_harmless_on_every_page(
    rex: User, prod: Cluster, scene: Scene, no_grace: None, name: str
) -> None:
    scene.role(name, annotations={"meta.helm.sh/release-name": name}, finalizers=["example.com/<b>"])
    scene.bind(name, name, subjects=[{"kind": "User", "name": name}])
    alert = alert_on(prod, scene, name)
    client = logged_in(rex)
    planned = revocation.plan(alert)
    shown = [client.get(address(alert)), client.get(alert.get_absolute_url())]
    ended = revocation.run(ask(planned, rex))
    assert ended.state == State.PARTLY
    shown += [client.get(address(alert)), client.get(alert.get_absolute_url())]
    for page in shown:
        content = page.content.decode()
        assert "<img" not in content
        assert "\u202e" not in content
        assert "'\"><script" not in content
        assert "<b>>" not in content
        assert "example.com/<b>" not in content


def test_whoever_looks_at_a_plan_has_it_kept_fresh_and_is_told_when_it_changed(
    as_rex: Client, alert: Alert, scene: Scene, woken: list[tuple[Any, ...]]
) -> None:
    planned = revocation.plan(alert)
    page = as_rex.get(address(alert)).content.decode()
    (fresh,) = re.findall(r'<div id="fresh" hx-get="([^"]+)"', page)
    (button,) = re.findall(
        r'id="revoke-button"[^>]* hx-get="([^"]+)"', as_rex.get(alert.get_absolute_url()).content.decode()
    )
    polled = [html.unescape(each) for each in (fresh, button)]
    assert [as_rex.get(each).status_code for each in polled] == [204, 204]
    assert woken == []
    with later(minutes=9):
        assert as_rex.get(polled[0]).status_code == 204
        assert woken[-1][:3] == ("alerts.tasks.plan_revocation", alert.pk, "revoke")
        tasks.plan_revocation(alert.pk)
    planned.refresh_from_db()
    assert planned.is_fresh()
    scene.touch(ROLE)
    newer = revocation.plan(alert)
    assert "The cluster changed since this plan" in text_of(as_rex.get(polled[0]))
    assert newer.digest in as_rex.get(polled[1]).content.decode()
    text = text_of(as_rex.get(address(alert)))
    assert "Changed since the plan before" in text
    assert '"touched": "yes"' in text


def test_the_order_is_chosen_on_the_page_and_advised_where_holders_may_write_bindings(
    as_rex: Client, alert: Alert
) -> None:
    revocation.plan(alert)
    text = text_of(as_rex.get(address(alert)))
    assert "Emergency: role first" in text
    assert "Role first is advised: its holders may write bindings" in text
    as_rex.post(address(alert, "revoke_plan"), {"mode": "revoke", "choose": "order", "role_first": "1"})
    assert [each["kind"] for each in revocation.plan(alert).plan] == ["ClusterRole", "ClusterRoleBinding"]
    assert "Bindings first" in text_of(as_rex.get(address(alert)))
    as_rex.post(address(alert, "revoke_plan"), {"mode": "revoke", "choose": "order", "role_first": "0"})
    assert [each["kind"] for each in revocation.plan(alert).plan] == ["ClusterRoleBinding", "ClusterRole"]


def test_a_conflict_on_the_way_has_a_new_plan_made_at_once(
    alert: Alert, rex: User, scene: Scene, no_grace: None, woken: list[tuple[Any, ...]]
) -> None:
    asked = ask(revocation.plan(alert), rex)
    scene.touch(ROLE)
    tasks.run_revocation(asked.pk)
    assert woken[-1][:3] == ("alerts.tasks.plan_revocation", alert.pk, "revoke")
    tasks.plan_revocation(alert.pk)
    planned = revocation.current(alert)
    assert planned is not None
    assert (planned.state, planned.effects["drift"][0]["text"]) == (
        State.PLANNED,
        "ClusterRole metrics-scraper-v2 was changed.",
    )
