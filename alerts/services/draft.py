"""What each group is told about an alert, written from its evidence before anybody asks.

Security reads the technical facts and what is not known; IT what to check and fix; management what it means, what was
done and what comes next. The analyst may change every word. What an attacker named appears with its invisible
characters visible and its addresses broken, so that no mail program makes a link of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.template.loader import render_to_string

from alerts import lifecycle, playbook
from alerts.audit.visible import visible
from alerts.models import Alert, Answer, Revocation, Stakeholder
from alerts.services import remedies, standing

SUBJECT_LIMIT = 200
# What a severity means to somebody who does not know Kubernetes
_IMPACT = {
    Alert.Severity.CRITICAL: "With rights like these, somebody could take over the cluster and all that runs on it.",
    Alert.Severity.HIGH: "With rights like these, somebody could read confidential data or disturb important services.",
    Alert.Severity.MEDIUM: "Rights like these may reach further than everyday work needs.",
    Alert.Severity.LOW: "The rights are limited.",
}
_BLIND = "Until this is mended, the cluster could be misused without our seeing it."
# What somebody did, by the detection that found it
_DEEDS = {
    "cluster_role_created": "created access rights",
    "role_created": "created access rights",
    "role_widened": "widened access rights",
    "role_aggregated": "added to access rights that others hold",
    "role_deleted": "deleted access rights",
    "binding_created": "gave access rights to somebody",
    "binding_changed": "changed who holds access rights",
    "default_role_tampered": "changed access rights that the cluster needs as they are",
    "escalation_refused": "reached for access rights beyond their own",
    "many_attempts": "reached for access rights beyond their own again and again",
    "powerful_impersonation": "acted in the name of an account with far-reaching rights",
    "token_issued": "obtained a credential of another account",
    "certificate_approved": "approved a certificate that somebody can log in with",
}
# What happened, where nobody is known to have done it
_OF_ITSELF = {
    "unaudited_change": "access rights changed, and the record of what is done there does not tell of it",
    "audit_stream_silent": "the record of what is done there no longer reaches us",
    "audit_data_damaged": "a part of the record of what is done there reached us damaged",
    "cluster_out_of_reach": "we can no longer check who has which access rights",
}
_ABOUT_RIGHTS = _DEEDS.keys() | {"unaudited_change"}
# Of each purpose that the evidence marks an act with
_SEEN = {
    "Exfiltration": "Confidential data was read.",
    "Persistence": "Ways to come back later were prepared.",
    "Escalation": "Further rights were given.",
    "Execution": "Commands were run inside applications.",
    "Covering tracks": "Traces were deleted.",
    "Destruction": "Data or applications were deleted.",
}
_REVOKED = {
    Revocation.Mode.REVOKE: "The role was revoked",
    Revocation.Mode.UNBIND: "The role was taken from everybody who held it",
    Revocation.Mode.CONTAIN: "The role was contained",
}
_NEXT = {
    "creator": "We find out who did it, and whether they were entitled to.",
    "permissions": "We judge how far the rights reach.",
    "use": "We find out whether the rights were misused.",
    "revoke": "We decide on taking the rights away.",
    "policies": "We review the rules that should have prevented this.",
    "remedy": "We clean up what was left behind.",
    "watch": "We make sure that a repetition is noticed.",
}
_NAME_LIMIT = 300  # characters of a name or another text from outside
_STORY_LIMIT = 1200
_LISTED = 10  # entries of a list before "and … more"


@dataclass(frozen=True, slots=True)
class Draft:
    """What a group is told. The subject is one line."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Item:
    """One step of the checklist as it stands. `conclusion` is empty while the step is open."""

    key: str
    title: str
    question: str
    conclusion: str
    reason: str
    found: str
    alarming: bool

    @property
    def is_open(self) -> bool:
        """Tell whether nobody answered it yet."""
        return not self.conclusion


def compose(alert: Alert, group: str) -> Draft:
    """Write the draft for a group. It stays true where evidence is missing: what is not known is called unknown."""
    facts = _facts(alert)
    template = f"notifications/{Stakeholder.Group(group)}.txt"
    lines = (line.rstrip() for line in render_to_string(template, facts).strip().splitlines())
    return Draft(subject=facts["subject"], text="\n".join(_without_gaps(lines)))


def compose_return(alert: Alert, group: str, what: str) -> Draft:
    """Write what a group is told when a watch opens an alert again: what came back first, then how things stand."""
    draft = compose(alert, group)
    lead = f"{harmless(what)}. The alert is open again, at the top of the queue."
    return Draft(subject=f"Again: {draft.subject}", text=f"{lead}\n\n{draft.text}")


def harmless(text: object, *, limit: int = _NAME_LIMIT) -> str:
    """Return text from outside on one visible line of bearable length, with no address a mail program would link."""
    line = visible(" ".join(str(text).split(" "))).replace("://", "[://]").replace("www.", "www[.]")
    return line if len(line) <= limit else f"{line[:limit]}…"


def _facts(alert: Alert) -> dict[str, Any]:
    questions, steps = _items(alert, playbook.INVESTIGATION), _items(alert, playbook.RESOLUTION)
    severity = alert.get_severity_display()
    title = harmless(alert.title)
    return {
        "subject": f"[{severity}] {title} in {alert.cluster.name} ({alert.reference})",
        "alert": alert,
        "title": title,
        "severity": severity,
        "actor": harmless(alert.actor) or "unknown",
        "story": harmless("".join(str(part) for _, part in alert.story), limit=_STORY_LIMIT),
        "circumstances": list(_circumstances(alert)),
        "verdict": lifecycle.VERDICTS[lifecycle.Verdict(alert.verdict)] if alert.verdict else None,
        "questions": questions,
        "steps": steps,
        "alarming": [item for item in questions if item.alarming],
        "unknown": list(_unknown(alert, questions)),
        "deed": _deed(alert),
        "of_itself": alert.detection in _OF_ITSELF,
        "impact": _IMPACT[Alert.Severity(alert.severity)] if alert.detection in _ABOUT_RIGHTS else _BLIND,
        "seen": list(_seen(alert)),
        "next": [_NEXT[item.key] for item in (*questions, *steps) if item.is_open and item.key in _NEXT],
        "revoke": _revoke(alert),
        "leftovers": _cut(remedies.listed(alert)),
        "findings": _cut(_findings(alert)),
    }


def _deed(alert: Alert) -> str:
    """Return what happened as a clause for everybody."""
    if alert.detection in _OF_ITSELF:
        return _OF_ITSELF[alert.detection]
    deed = "tried to change access rights or to use those of others" if alert.attempted else _DEEDS[alert.detection]
    return f"somebody using the account {harmless(alert.actor) or 'unknown'} {deed}"


def _items(alert: Alert, definitions: tuple[playbook.Step, ...]) -> list[Item]:
    rows = {step.key: step for step in alert.steps.all()}
    return [
        _item(definition, rows[definition.key].answer(), standing.evidence(alert, definition.key))
        for definition in definitions
    ]


def _item(definition: playbook.Step, answer: Answer | None, evidence: object) -> Item:
    outcome = definition.outcome(answer.outcome) if answer else None
    summary = evidence.get("summary", "") if isinstance(evidence, Mapping) else ""
    return Item(
        key=definition.key,
        title=definition.title,
        question=definition.question,
        conclusion=outcome.label if outcome else "",
        reason=harmless(answer.reason) if answer else "",
        found=harmless(summary),
        alarming=bool(outcome and outcome.alarming),
    )


def _circumstances(alert: Alert) -> Iterator[tuple[str, str]]:
    """Return when, from where, with what and by which right it was done, as labels and texts."""
    yield "When", _utc(alert.happened_at)
    event = alert.events.order_by("at", "pk").first()
    creator = alert.evidence.get("creator")
    known = creator if isinstance(creator, Mapping) else {}
    yield "From address", harmless(known.get("address") or (event and ", ".join(event.source_ips or ())) or "unknown")
    yield "Client", harmless(known.get("client") or (event and event.user_agent) or "unknown")
    yield "Allowed by", harmless(_right(known.get("allowed_by")))
    if alert.object_uid:
        yield "Object’s uid", harmless(alert.object_uid)


def _right(allowed_by: object) -> str:
    """Return what allowed the request: a role, or the sentence that says why none is known."""
    known = allowed_by if isinstance(allowed_by, Mapping) else {}
    role = " ".join(str(known[key]) for key in ("role_kind", "role") if known.get(key))
    return role or str(known.get("text") or "unknown")


def _unknown(alert: Alert, questions: list[Item]) -> Iterator[str]:
    """Return what nobody can say yet, in sentences."""
    if alert.evidence_error:
        yield harmless(alert.evidence_error)
    if not alert.evidence_at:
        yield "The evidence is still being gathered."
    for item in questions:
        if item.is_open:
            yield f"{item.title}: not answered yet."
        elif item.conclusion == playbook.step(item.key).outcomes[-1].label:
            yield f"{item.title}: the evidence does not suffice to tell."


def _revoke(alert: Alert) -> str:
    """Return in a sentence whether the role still stands."""
    if alert.object is None:
        return "There is no role to revoke."
    states = Revocation.State
    revocation = (
        alert.revocations.like(Revocation.Mode.REVOKE)
        .filter(requested_by__isnull=False)
        .exclude(state=states.CALLED_OFF)
        .first()
    )
    step = next(step for step in alert.steps.all() if step.key == "revoke")
    if revocation and revocation.restorations.filter(state__in=["done", "partly"]).exists():
        return "The role was revoked, and what was taken away was put back afterwards."
    if revocation and revocation.state == states.DONE and revocation.finished_at:
        return f"{_REVOKED[Revocation.Mode(revocation.mode)]} at {_utc(revocation.finished_at)}, and that was verified."
    if revocation and revocation.state in (states.SCHEDULED, states.RUNNING):
        return "The role is being revoked."
    if revocation and revocation.state in (states.PARTLY, states.FAILED):
        return "Revoking the role did not work completely; we are on it."
    if step.outcome == "kept":
        return "The role was kept on purpose."
    return "The role is gone." if step.outcome == "revoked" else "The role has not been revoked."


def _seen(alert: Alert) -> Iterator[str]:
    """Return what was seen since, in words for everybody: of each purpose that the evidence marks, a sentence."""
    evidence = alert.evidence.get("use")
    chips = evidence.get("chips") if isinstance(evidence, Mapping) else None
    marks = {str(chip[-1]) for chip in chips if isinstance(chip, list) and chip} if isinstance(chips, list) else set()
    yield from (sentence for purpose, sentence in _SEEN.items() if purpose in marks)


def _findings(alert: Alert) -> list[str]:
    """Return what stands open and what could not be evaluated, a line each; nothing where nobody looked yet."""
    found = standing.evidence(alert, "policies")
    return [str(finding["title"]) for finding in found.get("findings", [])]


def _cut(lines: list[str]) -> list[str]:
    """Return the first lines harmless, and how many more there are."""
    shown, more = [harmless(line) for line in lines[:_LISTED]], len(lines) - _LISTED
    return [*shown, f"and {more} more, on the alert’s page"] if more > 0 else shown


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _without_gaps(lines: Iterator[str]) -> Iterator[str]:
    """Leave out an empty line after another."""
    before = ""
    for line in lines:
        if line or before:
            yield line
        before = line
