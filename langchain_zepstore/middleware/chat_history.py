"""``ChatHistoryMiddleware``: an agent's conversations in the store."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, TypeVar, cast

from langchain.agents.middleware.types import (
    AgentMiddleware,
    ContextT,
    ModelCallResult,
    ModelRequest,
    ModelResponse,
)
from langchain_core.messages import BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langgraph.config import get_config
from langgraph.runtime import Runtime

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.store import Call, Store
from langchain_zepstore.core.validation import checked_count
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.middleware.beginning import Beginning
from langchain_zepstore.middleware.hooks import log_unavailable, save, set_title
from langchain_zepstore.middleware.recall import search_past_conversations
from langchain_zepstore.middleware.recorder import (
    Plan,
    Recorder,
    Redact,
    Seen,
    awaiting,
    first_words,
    identified,
    is_refused,
    refused,
)
from langchain_zepstore.middleware.scope import Named, Scope
from langchain_zepstore.middleware.state import SEEN, ChatHistoryState, extended, seen_in
from langchain_zepstore.middleware.window import TokenCounter
from langchain_zepstore.store_client import StoreClient, client_of

T = TypeVar("T")

Title = Callable[[list[BaseMessage]], str | Awaitable[str | None] | None]
"""Is given the messages of a conversation, as they are stored, and returns its title."""


class ChatHistoryMiddleware(AgentMiddleware[ChatHistoryState, ContextT]):
    """Gives an agent made by ``create_agent`` its conversations from the store, and stores them.

    In the mode ``memory`` the store is the agent's memory: before the agent runs, the end of the
    session is put before the input, and is part of the state from then on, so that other
    middleware, tools and the result see it. No checkpointer is needed; if there is one, to pause
    for a human, a new run still begins with what the store holds. In the mode ``archive`` a
    checkpointer holds the conversation, and the store is given all that is said, nothing is loaded.

    What is said is stored as it comes: the input when the model is about to be called, as it stands
    then, each answer of the model before tools run, each tool's before the model is called again.
    So nothing that a model has seen is lost when a tool raises, a run stops for a human, a stream
    is closed or a process dies; and an input that a guard refuses, by an exception or a jump to the
    end, is never stored. Each message is stored once, under its id, and again in its place if other
    middleware has changed it. An input with the id and the words of a stored message is that
    message. A human one with other words edits it, on a new branch: the model is given what stood
    before the stored one, and the edit, whose id is made from the old one and the words, so that a
    retry is no second edit. The words compared are those that were given, though others are stored
    since. Anything else with a known id is new, and gets another id. A message that is deleted from
    the session stays deleted, and so does a session that was cleared, though the agent's state may
    hold on to them: only what is said afterwards is stored. (LangGraph gives a message without an
    id a new one each time. Give it one if you retry or edit.)
    Summaries and system messages are not stored: they are not said by anyone.

    A loaded window is in a form that the models' APIs accept; what is stored stays as it is. If the
    conversation goes back further, the window begins with a human message. Each call of a tool is
    followed by its answer, or, if the run ended before there was one, by a ``ToolMessage`` with
    ``status="error"`` that says so. System messages are left out.

    Put it last in the list of middleware. Its ``before_…`` hooks run last then, and its ``after_…``
    hooks first: an answer of the model is stored before ``HumanInTheLoopMiddleware`` pauses. In
    front of that it would be stored when the run goes on.

    Args:
        url: As for ``ZepClient``; those built from one URL share one client in the process.
        api_key: As for ``ZepClient``.
        client: A client to use instead of a URL.
        mode: ``memory`` or ``archive``.
        session_id: The session: an id, or a function that is given the runtime and returns one.
            Without it, ``session_id`` of the runtime's context (an attribute or key), then
            ``session_id`` or ``thread_id`` in the config's ``configurable``. It comes into being
            with its first message.
        user_id: Whose session it becomes if it has to be created; likewise, without ``thread_id``.
            A user who does not exist is created. A session of another user is refused.
        lastn: How many messages are loaded at most.
        max_tokens: How many tokens of these at most; the oldest messages are left out.
        token_counter: Counts the tokens of a list of messages; roughly, by default.
        record_tools: Whether the calls of tools and their answers are stored. Without them, of an
            answer that calls tools only the text is.
        redact: Is given a copy of each message before it is stored, and returns what is stored of
            it; ``None``: nothing. What the model is given in this run is not changed, what it is
            given in later ones, in the mode ``memory``, is. It runs on the event loop.
        title: ``True``: the first words of the conversation become the session's title when its
            first turn is complete. Or a function (a coroutine function under ``ainvoke`` and
            ``astream``) that is given the messages, as they are stored, and returns a title or
            ``None``. A title that is there stays.
        recall: Whether the agent gets the tool ``search_past_conversations``, over the user's other
            sessions.
        on_error: When the store cannot be reached: ``raise``, or ``log``, and go on without; what
            could not be stored is with the next hook that reaches it.

    Raises:
        BadRequestError: An argument cannot be used; or in a run: it names no session, one of
            another user, or a message cannot be stored.
        StoreUnavailableError: In a run: the database cannot be reached.
    """

    state_schema = ChatHistoryState

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        client: StoreClient | None = None,
        mode: Literal["memory", "archive"] = "memory",
        session_id: Named = None,
        user_id: Named = None,
        lastn: int = 100,
        max_tokens: int | None = None,
        token_counter: TokenCounter = count_tokens_approximately,
        record_tools: bool = True,
        redact: Redact | None = None,
        title: bool | Title = False,
        recall: bool = False,
        on_error: Literal["raise", "log"] = "raise",
    ) -> None:
        super().__init__()
        _check_choice(mode, "mode", ("memory", "archive"))
        _check_choice(on_error, "on_error", ("raise", "log"))
        self._scope = Scope(session_id, user_id)
        checked_count(lastn, "lastn")
        if max_tokens is not None:
            checked_count(max_tokens, "max_tokens")
        self._recorder = Recorder(tools=record_tools, redact=redact)
        loaded = lastn if mode == "memory" else 0
        self._beginning = Beginning(self._recorder, loaded, max_tokens, token_counter)
        self._title: Title | None = first_words if title is True else title or None
        self._logs = on_error == "log"
        self._client = client_of(client, url, api_key)
        self.tools = []
        if recall:
            self.tools = [
                search_past_conversations(
                    self._client, session_id=session_id, user_id=user_id, on_error=on_error
                )
            ]

    def before_agent(
        self, state: ChatHistoryState, runtime: Runtime[ContextT]
    ) -> dict[str, Any] | None:
        """Load the end of the session, in the mode ``memory``; note an edit in the input."""
        seen = awaiting(state["messages"], seen_in(state))
        return self._run(self._beginning_of(state, seen, runtime), {SEEN: seen})

    async def abefore_agent(
        self, state: ChatHistoryState, runtime: Runtime[ContextT]
    ) -> dict[str, Any] | None:
        """Load the end of the session; see ``before_agent``."""
        seen = awaiting(state["messages"], seen_in(state))
        return await self._arun(self._beginning_of(state, seen, runtime), {SEEN: seen})

    def before_model(
        self, state: ChatHistoryState, runtime: Runtime[ContextT]
    ) -> dict[str, Any] | None:
        """Store the answers of tools."""
        plan = self._recorder.plan(state["messages"], seen_in(state), is_given=False)
        return self._run(self._saving(state, plan, runtime))

    async def abefore_model(
        self, state: ChatHistoryState, runtime: Runtime[ContextT]
    ) -> dict[str, Any] | None:
        """Store the answers of tools; see ``before_model``."""
        plan = self._recorder.plan(state["messages"], seen_in(state), is_given=False)
        return await self._arun(self._saving(state, plan, runtime))

    def wrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], ModelResponse[Any]],
    ) -> ModelCallResult[Any]:
        """Store the input and changed messages.

        An answer of the model with an id that is there already gets one of its own.
        """
        state = cast("ChatHistoryState", request.state)
        plan = self._recorder.plan(state["messages"], seen_in(state))
        update = self._run(self._saving(state, plan, request.runtime), {SEEN: plan.unsaved()})
        return extended(handler(request), state, update)

    async def awrap_model_call(
        self,
        request: ModelRequest[ContextT],
        handler: Callable[[ModelRequest[ContextT]], Awaitable[ModelResponse[Any]]],
    ) -> ModelCallResult[Any]:
        """Store the input and changed messages; see ``wrap_model_call``."""
        state = cast("ChatHistoryState", request.state)
        plan = self._recorder.plan(state["messages"], seen_in(state))
        saving = self._saving(state, plan, request.runtime)
        update = await self._arun(saving, {SEEN: plan.unsaved()})
        return extended(await handler(request), state, update)

    def after_model(
        self, state: ChatHistoryState, runtime: Runtime[ContextT]
    ) -> dict[str, Any] | None:
        """Store new messages of the state: the model's answers."""
        plan = self._recorder.plan(state["messages"], seen_in(state))
        saving = self._saving(state, plan, runtime, plan.after)
        return self._run(saving, {SEEN: plan.unsaved()})

    async def aafter_model(
        self, state: ChatHistoryState, runtime: Runtime[ContextT]
    ) -> dict[str, Any] | None:
        """Store new messages of the state; see ``after_model``."""
        plan = self._recorder.plan(state["messages"], seen_in(state))
        saving = self._saving(state, plan, runtime, plan.after)
        return await self._arun(saving, {SEEN: plan.unsaved()})

    def after_agent(
        self, state: ChatHistoryState, runtime: Runtime[ContextT]
    ) -> dict[str, Any] | None:
        """Store new messages of the state, and the session's title if it has none.

        An input that no model was given is not stored, nor what stands behind it.
        """
        return self._run(self._ending(state, runtime))

    async def aafter_agent(
        self, state: ChatHistoryState, runtime: Runtime[ContextT]
    ) -> dict[str, Any] | None:
        """Store new messages of the state, and the session's title; see ``after_agent``."""
        return await self._arun(self._ending(state, runtime))

    def _run(self, call: Call[T] | None, otherwise: T | None = None) -> T | None:
        if call is None:
            return None
        with log_unavailable(logs=self._logs):
            return self._client.run(call)
        return otherwise

    async def _arun(self, call: Call[T] | None, otherwise: T | None = None) -> T | None:
        if call is None:
            return None
        with log_unavailable(logs=self._logs):
            return await self._client.arun(call)
        return otherwise

    def _beginning_of(
        self, state: ChatHistoryState, seen: Seen, runtime: Runtime[ContextT]
    ) -> Call[dict[str, Any]]:
        where, before = self._where(runtime), seen_in(state)
        return lambda store: self._beginning.resume(store, where, state["messages"], before, seen)

    def _saving(
        self,
        state: ChatHistoryState,
        plan: Plan,
        runtime: Runtime[ContextT],
        after: str | None = None,
    ) -> Call[dict[str, Any]] | None:
        if plan.seen.items() <= seen_in(state).items():
            return None
        where = self._where(runtime)

        def operation(store: Store) -> Operation[dict[str, Any]]:
            return {SEEN: (yield from save(store, *where, plan, after))}

        return operation

    def _ending(
        self, state: ChatHistoryState, runtime: Runtime[ContextT]
    ) -> Call[dict[str, Any] | None] | None:
        left_out = refused(state["messages"], seen_in(state))
        plan = self._recorder.plan(state["messages"], {**seen_in(state), **left_out})
        saving = self._saving(state, plan, runtime)
        if self._title is None or left_out:
            return saving
        title, (session_id, _) = self._title, self._where(runtime)

        def operation(store: Store) -> Operation[dict[str, Any] | None]:
            update = None if saving is None else (yield from saving(store))
            yield from set_title(store, session_id, lambda: title(self._stored(state)))
            return update

        return operation

    def _stored(self, state: ChatHistoryState) -> list[BaseMessage]:
        seen = seen_in(state)
        stored = (
            self._recorder.stored(each)
            for each in state["messages"]
            if not is_refused(seen.get(identified(each), ""))
        )
        return [each for each in stored if each is not None]

    def _where(self, runtime: Runtime[ContextT]) -> tuple[str, str | None]:
        config = _config()
        return self._scope.session(runtime, config), self._scope.user(runtime, config)


def _config() -> Mapping[str, Any]:
    try:
        return get_config()
    except RuntimeError:  # the hook was called by hand
        return {}


def _check_choice(value: str, name: str, choices: tuple[str, str]) -> None:
    if value not in choices:
        raise BadRequestError(f"{name} must be {choices[0]!r} or {choices[1]!r}, not {value!r}")
