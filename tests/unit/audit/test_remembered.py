"""Answers are remembered, but for texts that take too much room."""

from alerts.audit.remembered import remembered


def test_a_short_text_is_worked_on_once_and_a_long_one_each_time() -> None:
    worked_on = []

    @remembered(entries=2, longest=3)
    def shout(text: str) -> str:
        worked_on.append(text)
        return text.upper()

    assert [shout(text) for text in ("abc", "abcd", "abc", "abcd")] == ["ABC", "ABCD", "ABC", "ABCD"]
    assert worked_on == ["abc", "abcd", "abcd"]


def test_of_many_the_latest_are_remembered() -> None:
    worked_on = []

    @remembered(entries=2, longest=3)
    def size(text: bytes) -> int:
        worked_on.append(text)
        return len(text)

    for text in (b"a", b"b", b"a", b"c", b"a", b"b"):
        size(text)
    assert worked_on == [b"a", b"b", b"c", b"b"]
