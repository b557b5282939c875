"""The commands for pipelines: what they print, and how they exit."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

OLD = """
kind: ClusterRole
metadata: {name: scraper}
rules:
- {apiGroups: [""], resources: [pods], verbs: [get]}
"""
NEW = """
kind: ClusterRole
metadata: {name: scraper}
rules:
- {apiGroups: [""], resources: [pods, "pods/*"], verbs: [get]}
- {apiGroups: [""], resources: [secrets], verbs: [list], resourceNames: [""]}
"""
BOUND = """
---
kind: ClusterRoleBinding
metadata: {name: b}
roleRef: {kind: ClusterRole, name: scraper}
subjects: [{kind: ServiceAccount, name: bot, namespace: web}]
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("COLUMNS", "200")

    def write(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


def run(*words: str) -> str:
    output = io.StringIO()
    call_command(*words, stdout=output)
    return output.getvalue()


def run_to_exit(*words: str) -> int | str | None:
    with pytest.raises(SystemExit) as exited:
        run(*words)
    return exited.value.code


def test_a_comparison_shows_what_came_and_went_with_its_rule(write: Any) -> None:
    said = run("compare_roles", write("new", NEW), write("old", OLD))
    assert "ClusterRole scraper: narrowed" in said
    assert "list on secrets without naming an object" in said
    assert "kubectl auth can-i list secrets --all-namespaces" in said


def test_it_fails_the_pipeline_on_new_access_only(write: Any) -> None:
    old, new = write("old", OLD), write("new", NEW)
    assert run_to_exit("compare_roles", old, new, "--fail-on-new-access") == 1
    run("compare_roles", old, new)
    run("compare_roles", new, old, "--fail-on-new-access")
    run("compare_roles", new, new, "--fail-on-new-access")


def test_a_comparison_as_json(write: Any) -> None:
    data = json.loads(run("compare_roles", write("old", OLD), write("new", NEW), "--json"))
    (role,) = data["roles"]
    assert (data["new_access"], role["verdict"], role["losses"], role["cut_off"]) == (True, "new access", [], "")
    assert {"text": "list on secrets without naming an object", "rules": [1]}.items() <= role["gains"][1].items()


def test_roles_that_came_or_went_are_compared_with_nothing(write: Any) -> None:
    old, new = write("old", OLD), write("new", OLD + "---" + OLD.replace("scraper", "other"))
    data = json.loads(run("compare_roles", old, new, "--json"))
    assert {role["role"]: role["verdict"] for role in data["roles"]} == {
        "ClusterRole scraper": "equivalent",
        "ClusterRole other": "new access",
    }
    assert "ClusterRole other (added): new access" in run("compare_roles", old, new)
    assert "ClusterRole other (removed): narrowed" in run("compare_roles", new, old)


def test_two_single_roles_are_compared_whatever_they_are_called(write: Any) -> None:
    said = run("compare_roles", write("old", OLD), write("new", OLD.replace("scraper", "other")))
    assert "ClusterRole scraper → ClusterRole other: equivalent" in said


def test_a_label_that_feeds_an_aggregated_role_is_new_access(write: Any) -> None:
    labelled = NEW.replace(
        "{name: scraper}", '{name: scraper, labels: {rbac.authorization.k8s.io/aggregate-to-view: "true"}}'
    )
    assert run_to_exit("compare_roles", write("old", NEW), write("new", labelled), "--fail-on-new-access") == 1
    assert "its labels feed it into view, whose holders gain it" in run(
        "compare_roles", write("old", NEW), write("new", labelled)
    )


def test_an_explanation_shows_score_reasons_table_and_what_grants_nothing(write: Any) -> None:
    said = run("explain_role", write("new", NEW + BOUND))
    for words in (
        "ClusterRole scraper: 85 critical",
        "85 Read every secret at once; × 1 in the whole cluster",
        "T1552.007",
        "service account web/bot has it everywhere through ClusterRoleBinding b: Read every secret at once",
        "permits  get  list",
        "rule 0 grants nothing by pods/*",
        "Fits inside the default role system:controller:namespace-controller",
    ):
        assert words in said


def test_an_explanation_as_json(write: Any) -> None:
    (role,) = json.loads(run("explain_role", write("new", NEW + BOUND), "--json"))["roles"]
    assert (role["score"], role["severity"], role["holders"][0]["had_nothing"]) == (85, "critical", True)
    (capability,) = role["capabilities"]
    assert capability["proofs"] == [
        {"rule": 1, "request": "list secrets", "kubectl": "kubectl auth can-i list secrets --all-namespaces"}
    ]
    secrets = next(row for row in role["permits"]["rows"] if row["resources"] == ["secrets"])
    assert secrets["cells"] == {"list": {"change": "held", "manner": "exact"}}


def test_an_explanation_may_be_against_a_default_role(write: Any) -> None:
    new, old = write("new", NEW), write("old", OLD)
    assert run_to_exit("explain_role", new, "--against", "view", "--fail-on-new-access") == 1
    assert run_to_exit("explain_role", old, "--fail-on-new-access") == 1
    run("explain_role", old, "--against", "view", "--fail-on-new-access")
    with pytest.raises(CommandError, match="no default role 'viewer'") as raised:
        run("explain_role", old, "--against", "viewer")
    assert raised.value.returncode == 2


def test_a_role_of_a_namespace_is_scored_there(write: Any) -> None:
    role = NEW.replace("ClusterRole", "Role").replace("{name: scraper}", "{name: scraper, namespace: web}")
    assert "Role web/scraper: 51 medium" in run("explain_role", write("role", role))


def test_standard_input_is_read(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(NEW))
    assert "new access" in run("compare_roles", write("old", OLD), "-")
    with pytest.raises(CommandError, match="one of the two only"):
        run("compare_roles", "-", "-")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Pod", ":1: no Role or ClusterRole here, only Pod"),
        ("kind: \x01", ":1: not YAML"),
        ("a: \u202e: b", ":1: not"),
    ],
)
def test_bad_input_exits_2_and_says_where(write: Any, text: str, message: str) -> None:
    path = write("bad", text)
    for words in (["explain_role", path], ["compare_roles", path, path]):
        with pytest.raises(CommandError) as raised:
            run(*words)
        assert raised.value.returncode == 2
        assert f"{path}{message}" in str(raised.value)


def test_files_that_cannot_be_read_exit_2(write: Any, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"kind: \xff")
    for path, message in (
        (tmp_path, "Is a directory"),
        (tmp_path / "none", "No such file"),
        (tmp_path / "latin", "not UTF-8"),
    ):
        with pytest.raises(CommandError, match=message) as raised:
            run("explain_role", str(path))
        assert raised.value.returncode == 2


def test_hostile_names_are_shown_and_never_obeyed(write: Any) -> None:
    text = NEW.replace("{name: scraper}", '{name: "[bold]x[/bold] \\e[31m\\u202e"}')
    said = run("explain_role", write("new", text))
    assert "ClusterRole [bold]x[/bold] \\x1b[31m\\u202e: 85 critical" in said
    assert "\x1b" not in said
