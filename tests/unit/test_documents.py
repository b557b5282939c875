"""What the documents tell people to do can be done."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]
TARGETS = set(re.findall(r"^([\w./-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


@every_document
def test_every_link_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text())

    assert [link for link in links if not (document.parent / link).exists()] == []


@every_document
def test_every_command_exists(document: Path) -> None:
    text = document.read_text()

    assert set(re.findall(r"manage\.py (\w+)", text)) <= set(get_commands())
    assert set(re.findall(r"(?:^|`)make ([\w./-]+)", text, re.MULTILINE)) <= TARGETS


def test_every_path_in_the_architecture_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    tree = text.split("```")[1]

    top = re.findall(r"^([\w./]+)", tree, re.MULTILINE)
    inside = re.findall(r"^  ([\w./]+)(?:  ([\w./]+))*", tree, re.MULTILINE)
    assert [path for path in top if not (ROOT / path).exists()] == []
    assert [path for paths in inside for path in paths if path and not (ROOT / "alerts" / path).exists()] == []
    named = re.findall(r"`((?:views|services|audit|detections|rbac|cluster|notifications)/[\w./]*)`", text)
    assert [path for path in named if not (ROOT / "alerts" / path).exists()] == []
