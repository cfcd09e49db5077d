"""The session and the user of a run, from fixed ids, the context or the config."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from langchain_zepstore.core.validation import given_id
from langchain_zepstore.errors import BadRequestError

Named = str | int | UUID | Callable[[Any], str | int | UUID | None] | None
"""An id, or a function that is given LangGraph's runtime of a run and returns one."""

_THREAD = "thread_id"


class Scope:
    """Finds the session and the user of a run.

    Args:
        session_id: The session; without it, or where the function returns ``None``, the
            ``session_id`` of the run's context, then ``session_id`` and ``thread_id`` of the
            config's ``configurable``.
        user_id: The user; without it, the same without ``thread_id``.

    Raises:
        BadRequestError: An argument can never be an id.
    """

    def __init__(self, session_id: Named, user_id: Named) -> None:
        for name, given in (("session_id", session_id), ("user_id", user_id)):
            if given is not None and not callable(given):
                given_id(given, name)
        self._session_id = session_id
        self._user_id = user_id

    def session(self, runtime: Any, config: Mapping[str, Any]) -> str:
        """Return the id of the run's session.

        Raises:
            BadRequestError: The run names none, or one that cannot be an id.
        """
        found = _found("session_id", self._session_id, runtime, config)
        if found is None:
            found = _of_config(_THREAD, config)
        if found is None:
            raise BadRequestError(
                "the run names no session: give session_id to the middleware, in the context, or "
                'in the config, {"configurable": {"thread_id": …}}'
            )
        return given_id(found, "session_id")

    def user(self, runtime: Any, config: Mapping[str, Any]) -> str | None:
        """Return the id of the run's user, ``None`` if it names none.

        Raises:
            BadRequestError: It cannot be an id.
        """
        found = _found("user_id", self._user_id, runtime, config)
        return None if found is None else given_id(found, "user_id")


def _found(name: str, given: Named, runtime: Any, config: Mapping[str, Any]) -> Any:
    found = given(runtime) if callable(given) else given
    if found is None:
        context = getattr(runtime, "context", None)
        found = context.get(name) if isinstance(context, Mapping) else getattr(context, name, None)
    return _of_config(name, config) if found is None else found


def _of_config(name: str, config: Mapping[str, Any]) -> Any:
    return (config.get("configurable") or {}).get(name)
