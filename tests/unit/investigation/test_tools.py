"""Release tools, recognised and never trusted."""

import pytest

from alerts.services.investigation.tools import recognise


@pytest.mark.parametrize(
    ("user_agent", "tool"),
    [
        ("Helm/3.16.2", "Helm"),
        ("argocd-application-controller/v0.0.0 (linux/amd64) kubernetes/$Format", "Argo CD"),
        ("kustomize-controller/v0.0.0 (linux/amd64) kubernetes/$Format", "Flux"),
    ],
)
def test_a_tool_is_recognised_by_its_agent(user_agent: str, tool: str) -> None:
    found = recognise(user_agent, [], {})
    assert found is not None
    assert (found.tool, found.signs) == (tool, ("user agent",))


@pytest.mark.parametrize(
    "user_agent", ["evil Helm/3.16.2", "Helm/3.16.2 and more", "helmet/1.0.0", "kubectl/v1.32.4", ""]
)
def test_what_only_resembles_an_agent_is_not_recognised(user_agent: str) -> None:
    assert recognise(user_agent, [], {}) is None


def test_all_signs_are_told() -> None:
    found = recognise("Helm/3.16.2", ["Helm"], {"app.kubernetes.io/managed-by": "Helm"})
    assert found is not None
    assert found.signs == ("user agent", "field manager", "labels")


def test_a_label_of_another_value_is_no_sign() -> None:
    assert recognise("curl/8", [], {"app.kubernetes.io/managed-by": "hand"}) is None
