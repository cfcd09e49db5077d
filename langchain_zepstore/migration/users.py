"""Whose sessions they are, where a source does not say it."""

import re
from collections.abc import Callable

from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.models import Session


def user_from(rule: str) -> Callable[[Session], str | None]:
    """Return a function from a session to its user.

    Args:
        rule: A regular expression whose first group in the session's id is the user; or, where it
            has no group, a key of the session's metadata.

    Raises:
        BadRequestError: It is no regular expression.
    """
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise BadRequestError(f"user_from is no regular expression: {error}") from error

    def of(session: Session) -> str | None:
        if not pattern.groups:
            return _text((session.metadata or {}).get(rule))
        found = pattern.search(session.session_id)
        return _text(found[1]) if found else None

    return of


def _text(value: object) -> str | None:
    return None if value in {None, ""} else str(value)
