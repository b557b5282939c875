"""Exact reasoning about Kubernetes permissions, in plain Python: no cluster, no network, no framework.

Rules are taken as they stand in a parsed manifest: a list of mappings, or None for `rules: null`. Parse them once with
`parse` where they are used again; what is worked out is remembered.

Does it permit this?
    >>> secrets = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}]
    >>> allows(secrets, Request("list", resource="secrets", namespace="web"))
    True

Does one contain the other, and what changed? Exact in the open world: verbs and resources to come count too.
    >>> everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    >>> covers(everything, secrets), covers(secrets, everything)
    (True, False)
    >>> change = compare(secrets, secrets + [{"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["create"]}])
    >>> change.verdict.value, change.gains[0].text, change.gains[0].rules
    ('new access', 'create on pods/exec', (1,))
    >>> compare(UNSEEN, secrets).verdict.value
    'unknown'

What is dangerous about it, and how do we know?
    >>> worst = held(secrets)[0]
    >>> worst.title, worst.proofs[0].kubectl()
    ('Read every secret at once', 'kubectl auth can-i list secrets --all-namespaces')
    >>> assess(secrets).score
    85

Who holds it, who gains by it, who else can? `Access` puts the roles and bindings of a cluster together:
`access.holders(ref)`, `access.effective(subject, scope)`, `access.who_can(request)`, `access.what_can(subject)` and
`net_new(access, ref)`.

For people: `matrix` (resources by verbs), `inert` (what looks like a permission and is none), `similar`, `rare` and
`smallest_default` (other roles like it), `least` (the rules that would have done).
"""

from alerts.rbac.access import Access, Answer, Effective, Holder, Source
from alerts.rbac.actions import Action, Universe, known
from alerts.rbac.boxes import Box, UrlBox
from alerts.rbac.capabilities import held
from alerts.rbac.capability import Capability, Category, Held, Proof
from alerts.rbac.catalogue import CAPABILITIES
from alerts.rbac.comparison import UNSEEN, Baseline, Comparison, Part, Verdict, compare
from alerts.rbac.conditions import conditions
from alerts.rbac.coverage import covers, uncovered
from alerts.rbac.defaults import VERSION as DEFAULTS_VERSION
from alerts.rbac.defaults import default_manifests, default_roles
from alerts.rbac.difference import TooMuchWork
from alerts.rbac.gains import NetNew, had_before, net_new
from alerts.rbac.inertness import Inert, inert
from alerts.rbac.least_privilege import least, least_manifests, least_yaml
from alerts.rbac.objects import Binding, Role, RoleRef
from alerts.rbac.projection import matrix
from alerts.rbac.request import Request
from alerts.rbac.rules import InvalidRules, Rule, Rules, RuleSet, allows, parse
from alerts.rbac.score import Assessment, Circumstances, Factor, Severity, assess
from alerts.rbac.selectors import Selector
from alerts.rbac.similarity import Fit, Peer, Scale, rare, similar, smallest_default
from alerts.rbac.subjects import Subject
from alerts.rbac.table import Cell, Change, Kind, Manner, Matrix, Row

__all__ = [
    "CAPABILITIES",
    "DEFAULTS_VERSION",
    "UNSEEN",
    "Access",
    "Action",
    "Answer",
    "Assessment",
    "Baseline",
    "Binding",
    "Box",
    "Capability",
    "Category",
    "Cell",
    "Change",
    "Circumstances",
    "Comparison",
    "Effective",
    "Factor",
    "Fit",
    "Held",
    "Holder",
    "Inert",
    "InvalidRules",
    "Kind",
    "Manner",
    "Matrix",
    "NetNew",
    "Part",
    "Peer",
    "Proof",
    "Request",
    "Role",
    "RoleRef",
    "Row",
    "Rule",
    "RuleSet",
    "Rules",
    "Scale",
    "Selector",
    "Severity",
    "Source",
    "Subject",
    "TooMuchWork",
    "Universe",
    "UrlBox",
    "Verdict",
    "allows",
    "assess",
    "compare",
    "conditions",
    "covers",
    "default_manifests",
    "default_roles",
    "had_before",
    "held",
    "inert",
    "known",
    "least",
    "least_manifests",
    "least_yaml",
    "matrix",
    "net_new",
    "parse",
    "rare",
    "similar",
    "smallest_default",
    "uncovered",
]
