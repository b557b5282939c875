"""The checklist."""

import pytest

from alerts import playbook


def test_three_questions_come_before_five_steps() -> None:
    parts = [step.part for step in playbook.STEPS]
    assert parts == [playbook.Part.INVESTIGATION] * 3 + [playbook.Part.RESOLUTION] * 5


def test_keys_are_unique_and_every_step_can_be_answered_in_two_ways_at_least() -> None:
    keys = [step.key for step in playbook.STEPS]
    assert len(set(keys)) == len(keys)
    for step in playbook.STEPS:
        assert len({outcome.key for outcome in step.outcomes}) >= 2


def test_every_question_has_exactly_one_alarming_outcome() -> None:
    for step in playbook.INVESTIGATION:
        assert [outcome.alarming for outcome in step.outcomes].count(True) == 1


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(KeyError):
        playbook.step("celebrate")
    with pytest.raises(KeyError):
        playbook.step("use").outcome("celebrated")
