"""Answers that are remembered, for texts that come again and again."""

from collections.abc import Callable
from functools import lru_cache, wraps


def remembered[Text: (str, bytes), Answer](
    *, entries: int, longest: int
) -> Callable[[Callable[[Text], Answer]], Callable[[Text], Answer]]:
    """Return a decorator for a function of one text, that remembers its latest answers.

    Those to texts beyond `longest` it forgets: whoever writes an event chooses how long they are. What the function
    returns is shared by all who ask, who leave it as it is.
    """

    def decorate(function: Callable[[Text], Answer]) -> Callable[[Text], Answer]:
        known = lru_cache(maxsize=entries)(function)

        @wraps(function)
        def answer(text: Text) -> Answer:
            return known(text) if len(text) <= longest else function(text)

        return answer

    return decorate
