"""The states of an alert, the verdicts, and what closing needs."""

import pytest

from alerts import lifecycle, playbook
from alerts.lifecycle import MoveRefused, Status, Verdict

QUESTIONS = frozenset({"creator", "permissions", "use"})
EVERYTHING = frozenset(step.key for step in playbook.STEPS)


def test_every_status_has_a_label_and_a_way_out() -> None:
    for status in Status:
        assert lifecycle.LABELS[status]
        assert lifecycle.MOVES[status] - {status}


def test_every_status_can_be_reached_from_a_new_alert() -> None:
    reached, frontier = set(), {Status.NEW}
    while frontier:
        reached |= frontier
        frontier = {move for status in frontier for move in lifecycle.MOVES[status]} - reached
    assert reached == set(Status)


@pytest.mark.parametrize(
    ("old", "new"), [(Status.CLOSED, Status.NEW), (Status.CLOSED, Status.WAITING), (Status.IN_PROGRESS, Status.NEW)]
)
def test_a_move_that_does_not_exist_is_refused_in_a_sentence(old: Status, new: Status) -> None:
    with pytest.raises(MoveRefused, match="cannot become"):
        lifecycle.check_move(old, new)


def test_a_malicious_alert_closes_only_with_all_eight_answers() -> None:
    missing = lifecycle.unanswered(Verdict.MALICIOUS, EVERYTHING - {"tell"})
    assert [step.key for step in missing] == ["tell"]
    with pytest.raises(MoveRefused, match="Tell the stakeholders"):
        lifecycle.check_closing(Verdict.MALICIOUS, answered=EVERYTHING - {"tell"}, reason="An intruder.")
    lifecycle.check_closing(Verdict.MALICIOUS, answered=EVERYTHING, reason="An intruder.")


def test_a_benign_alert_closes_with_the_three_questions() -> None:
    lifecycle.check_closing(Verdict.BENIGN, answered=QUESTIONS, reason="A planned release.")
    with pytest.raises(MoveRefused, match="What was done with it"):
        lifecycle.check_closing(Verdict.BENIGN, answered=QUESTIONS - {"use"}, reason="A planned release.")


@pytest.mark.parametrize("verdict", list(Verdict))
def test_no_verdict_goes_without_a_reason(verdict: Verdict) -> None:
    with pytest.raises(MoveRefused, match="why"):
        lifecycle.check_closing(verdict, answered=EVERYTHING, reason="  ")


def test_missing_answers_are_named_in_the_order_of_the_playbook() -> None:
    missing = lifecycle.unanswered(Verdict.MALICIOUS, frozenset({"use"}))
    assert [step.key for step in missing] == [step.key for step in playbook.STEPS if step.key != "use"]
