"""Manifests as people keep them, and what is said where one is broken."""

import pytest

from alerts.rbac.manifests import ManifestError, read

UNSAFE = "f.yaml:1: not YAML: could not determine a constructor for the tag"
OBJECT = '{"kind": "ClusterRole",\t"metadata": {"name": "r"}}'
ROLE = "kind: ClusterRole\nmetadata: {name: r}\n"


def names(text: str) -> list[str]:
    return [str(role.ref) for role in read(text, "f.yaml").roles]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ROLE, ["ClusterRole r"]),
        (f"{ROLE}rules: null", ["ClusterRole r"]),
        (f"{ROLE}rules: []", ["ClusterRole r"]),
        (f"{ROLE}unknown: {{a: 1}}", ["ClusterRole r"]),
        (f"---\n{ROLE}---\n---\nkind: Role\nmetadata: {{name: q, namespace: web}}", ["ClusterRole r", "Role web/q"]),
        (f"kind: Deployment\n---\n{ROLE}", ["ClusterRole r"]),
        ("kind: List\nitems:\n- kind: ClusterRole\n  metadata: {name: r}", ["ClusterRole r"]),
        ("kind: ClusterRoleList\nitems:\n- metadata: {name: r}", ["ClusterRole r"]),
        ("- kind: ClusterRole\n  metadata: {name: r}", ["ClusterRole r"]),
        (
            f"{OBJECT}\n{OBJECT}",
            ["ClusterRole r", "ClusterRole r"],
        ),
        (f"[{OBJECT}]", ["ClusterRole r"]),
        ('kind: ClusterRole\nmetadata: {name: "a b*:<i>ü"}', ["ClusterRole a b*:<i>ü"]),
    ],
)
def test_what_is_read(text: str, expected: list[str]) -> None:
    assert names(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f.yaml: no Role or ClusterRole here, nothing at all"),
        ("kind: Deployment", "f.yaml:1: no Role or ClusterRole here, only Deployment"),
        ("hello", "f.yaml:1: not a manifest, which is a mapping with a kind"),
        (f"{ROLE}---\na: b", "f.yaml:4: no kind, so nobody can tell what it is"),
        (f"# a comment\n{ROLE}rules: {{}}", "f.yaml:2: rules must be a list, not a mapping"),
        (f"{ROLE}---\n{ROLE}rules: [{{verbs: [1]}}]", "f.yaml:4: rules[0].verbs[0] must be a string, not a number"),
        (f"{ROLE}rules: []\nrules: []", "f.yaml:4: the key 'rules' is there twice"),
        ("kind: ClusterRole\nmetadata: {}", "f.yaml:1: the ClusterRole has no name"),
        (f"{ROLE}rules: [", "f.yaml:3: not YAML: expected the node content, but found '<stream end>'"),
        ("a: \tb: [", "f.yaml:1: not YAML: found character '\\t' that cannot start any token"),
        ("kind: ClusterRole\nmetadata: 2001-99-99", "f.yaml:1: not YAML: month must be in 1..12"),
        (
            "a: !!python/name:os.system",
            f"{UNSAFE} 'tag:yaml.org,2002:python/name:os.system'",
        ),
        (f"{ROLE}\n\nrules: \x01", "f.yaml:5: not YAML: it holds a character that may not be there"),
        ("? [a]\n: b", "f.yaml:1: not YAML: found unhashable key"),
        ('{"kind": "ClusterRole",\n"metadata": }', "f.yaml:2: not JSON: Expecting value"),
        ('{"kind": "Role", "kind": "Pod"}', "f.yaml:1: the key 'kind' is there twice"),
        ("[" * 50_000, "f.yaml:1: nested too deeply"),
        ("- " * 5_000, "f.yaml:1: nested too deeply"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(text: str, message: str) -> None:
    with pytest.raises(ManifestError) as raised:
        read(text, "f.yaml")
    assert str(raised.value) == message


def test_an_alias_bomb_is_read_like_any_list() -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]
    assert names("\n".join([*lines, ROLE])) == ["ClusterRole r"]


def test_a_role_of_a_hundred_kilobytes_is_read() -> None:
    rules = "".join(f"- {{apiGroups: [''], resources: [r{number}], verbs: [get]}}\n" for number in range(2_000))
    (role,) = read(f"{ROLE}rules:\n{rules}", "f.yaml").roles
    assert len(role.rules) == 2_000
