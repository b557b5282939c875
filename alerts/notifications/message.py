"""What is told, before it takes the form of a mail or a Slack message, and how telling can fail."""

from dataclasses import dataclass

from alerts.audit.visible import visible

HEADLINE_LIMIT = 150  # of Slack's header block, which is the shorter one


class DeliveryError(Exception):
    """A message that was not delivered, or may not have been; its text is the sentence people see.

    `permanent` says that another try cannot help. `retry_after` is the number of seconds that the other side asked
    for, or None.
    """

    def __init__(self, text: str, *, permanent: bool, retry_after: int | None = None) -> None:
        super().__init__(text)
        self.permanent = permanent
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Message:
    """One message, however it travels.

    `key` is unique and the same for every try; `thread` names what it belongs to, such as RC-128; `link` is the
    absolute address of the page about it.
    """

    key: str
    thread: str
    subject: str
    text: str
    link: str

    @property
    def headline(self) -> str:
        """The subject on one line, short, with nothing invisible in it."""
        line = visible(" ".join(self.subject.split()))
        return line if len(line) <= HEADLINE_LIMIT else f"{line[: HEADLINE_LIMIT - 1]}…"
