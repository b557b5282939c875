"""The alert in a sentence or two: who, how, what, for whom, and what came of it."""

from datetime import timedelta
from typing import Any

from alerts.audit.visible import storable
from alerts.services.investigation import deeds
from alerts.services.investigation.acts import Act, Outcome, Parts
from alerts.services.investigation.case import Bound, Case
from alerts.services.investigation.permissions import Permissions
from alerts.services.investigation.use import GRAVE, Use

_NAME = 80
_ACTS = 3


def tell(case: Case, creator: dict[str, Any], permissions: Permissions, use: Use) -> Parts:
    """Return the story as pairs of emphasis ("", "strong" or "code") and text."""
    story = [*_actor(case, creator), *deeds.deed(case, permissions)]
    if case.doubt:
        story.append(["", case.doubt])
    if case.alert.attempted:
        story += deeds.refusal(case)
    else:
        known = case.binding is None and case.identity is None and case.alert.detection != "role_deleted"
        story += [*(_binding(case) if known else [["", "."]]), *_consequences(case, use)]
    return [[emphasis, text if len(text) <= _NAME * 3 else f"{text[: _NAME * 3]}…"] for emphasis, text in story]


def _actor(case: Case, creator: dict[str, Any]) -> Parts:
    parts: Parts = [["strong", case.alert.actor or "Somebody who was not authenticated"]]
    impersonated = (case.opening.impersonated or {}).get("username") if case.opening else None
    if impersonated:
        parts += [["", ", acting as "], ["strong", str(impersonated)]]
    news = {sighting["what"] for sighting in creator.get("sightings", ()) if sighting["new"]}
    where, client = creator.get("address", ""), _short(creator.get("client", ""))
    if "actor" in news:
        parts += [["", ", never seen on this cluster before, from "]]
    elif {"address", "client"} <= news:
        parts += [["", ", from an address and with a client new to it ("], ["code", where], ["", ", "]]
        return [*parts, ["code", client], ["", "), "]]
    elif news:
        what = "from an address" if "address" in news else "with a client"
        value = where if "address" in news else client
        return [*parts, ["", f", {what} new to it ("], ["code", value], ["", "), "]]
    else:
        parts.append(["", ", from "])
    parts.append(["code", where] if where else ["", "an unknown address"])
    return [*parts, *([["", " with "], ["code", client]] if client else []), ["", ", "]]


def _short(client: str) -> str:
    """Return a client's name without its version and platform: what a reader knows it by."""
    return client.partition(" ")[0].partition("/")[0][:_NAME]


def _binding(case: Case) -> Parts:
    if not case.holders:
        return [["", ". Nobody is bound to it." if case.listed or not case.bound else "."]]
    first = case.bound[0] if case.bound else None
    direct = [holder for holder in case.holders if not holder.through]
    if not direct:
        fed = list(dict.fromkeys(holder.binding.role.name for holder in case.holders))
        return [["", ". Its label adds it to "], ["code", ", ".join(fed)], ["", f", held by {len(case.holders)}."]]
    subjects = list(dict.fromkeys(holder.subject for holder in direct))
    more = f" and {len(subjects) - 1} more" if len(subjects) > 1 else ""
    if first is None:
        return [["", ". It is bound to "], *deeds.subject(subjects[0]), ["", f"{more}."]]
    shown = first.binding.subjects[0] if first.binding.subjects else subjects[0]
    return [*_bound_by(case, first), *deeds.subject(shown), ["", f"{more}."]]


def _bound_by(case: Case, bound: Bound) -> Parts:
    later = _span(bound.at - case.alert.happened_at)
    if bound.by == case.alert.actor:
        return [["", f", and bound it {later} to "]]
    return [["", ". "], ["strong", bound.by], ["", f" bound it {later} to "]]


def _span(time: timedelta) -> str:
    seconds = time.total_seconds()
    if seconds < 1:
        return "within a second"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} later"
    return "later"


def _consequences(case: Case, use: Use) -> Parts:
    acts = [act for act in use.with_it if act.outcome == Outcome.DONE and act.heat and act.purpose in GRAVE]
    if not acts:
        return [["", " It has been used, for nothing remarkable."]] if case.through else []
    chosen = _choice(acts)
    parts: Parts = [["", f" {_who(case, acts)} since "]]
    for place, act in enumerate(chosen):
        parts += [["", _between(place, len(chosen))], *_emphasised(act)]
    more = len(acts) - len(chosen)
    return [*parts, ["", f", and done {more} more thing{'' if more == 1 else 's'}." if more else "."]]


def _who(case: Case, acts: list[Act]) -> str:
    users = {storable(act.by) for act in acts}
    accounts = {holder.subject.username for holder in case.holders if holder.subject.kind == "ServiceAccount"}
    if case.identity is not None and users == {case.identity.subject.username}:
        return "That identity has"
    if len(users) == 1:
        return "That account has" if users <= accounts and len(accounts) == 1 else f"{users.pop()} has"
    return f"{len(users)} of its holders have"


def _choice(acts: list[Act]) -> list[Act]:
    """Return the acts to tell: of each purpose the weightiest, the gravest purposes first, in order of time."""
    best: dict[object, Act] = {}
    for act in acts:
        kept = best.get(act.purpose)
        if kept is None or _weight(act) > _weight(kept):
            best[act.purpose] = act
    chosen = [best[purpose] for purpose in GRAVE if purpose in best][:_ACTS]
    return [act for act in acts if act in chosen]


def _weight(act: Act) -> tuple[bool, int, bool]:
    named = bool(act.event.name)
    return act.heat == "hot", len(act.dangers), named


def _between(place: int, count: int) -> str:
    if not place:
        return ""
    return " and " if place == count - 1 else ", "


def _emphasised(act: Act) -> Parts:
    """Return an act's sentence with what it was done to made to stand out."""
    verb, _, rest = act.text[0][1].partition(" ")
    worst = f"{act.dangers[0]} " if act.dangers and act.dangers[0] == "privileged" else ""
    article = "a " if worst else ""
    return [["", f"{verb} {article}"], ["strong", f"{worst}{rest}".rstrip()], *_gap(rest), *act.text[1:]]


def _gap(rest: str) -> Parts:
    return [["", " "]] if rest.endswith(" ") else []
