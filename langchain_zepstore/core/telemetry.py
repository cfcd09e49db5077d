"""OpenTelemetry spans of the store's operations, where its API is installed.

Names and attributes are those of its conventions for databases, and for the memory of generative
AI. They hold names and ids, never contents, and no words of an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from inspect import signature
from typing import TYPE_CHECKING, Any, TypeVar, cast

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.store import Store
from langchain_zepstore.core.version import package_version

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer, TracerProvider

T = TypeVar("T")

_MEMORY_OPERATIONS = {
    "messages.add": "upsert_memory",
    "messages.update": "update_memory",
    "search.find": "search_memory",
    "deletion.delete_session": "delete_memory",
    "deletion.delete_message": "delete_memory",
    "deletion.erase_session": "delete_memory",
    "deletion.erase_user": "delete_memory",
}


@cache
def _api() -> Any:
    try:
        from opentelemetry import trace  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    return trace


@cache
def _tracer_of(provider: TracerProvider) -> Tracer:
    return provider.get_tracer("langchain_zepstore", package_version())


def traced(store: Store) -> Store:
    """Return the same store, with a span for each operation if OpenTelemetry is set up."""
    api = _api()
    if api is None:
        return store
    provider = api.get_tracer_provider()
    if isinstance(provider, (api.ProxyTracerProvider, api.NoOpTracerProvider)):
        return store
    return cast("Store", _TracedStore(store, _tracer_of(provider)))


class _TracedStore:
    def __init__(self, store: Store, tracer: Tracer) -> None:
        self._store = store
        self._tracer = tracer

    def __getattr__(self, noun: str) -> _TracedOperations:
        return _TracedOperations(self, noun)

    def for_user(self, user_id: str) -> _TracedStore:
        return _TracedStore(self._store.for_user(user_id), self._tracer)


class _TracedOperations:
    """The operations on one noun of a store; each call returns the operation within a span."""

    def __init__(self, traced: _TracedStore, noun: str) -> None:
        self._traced = traced
        self._noun = noun
        self._operations = getattr(traced._store, noun)  # noqa: SLF001 - its own module

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._operations, name)
        if not callable(method):
            return method

        def call(*arguments: Any, **named: Any) -> Operation[Any]:
            operation = method(*arguments, **named)
            return self._within_span(name, _session_in(method, arguments, named), operation)

        return call

    def _within_span(
        self, name: str, session_id: str | None, operation: Operation[T]
    ) -> Operation[T]:
        from opentelemetry.trace import SpanKind, StatusCode  # noqa: PLC0415 - an extra

        attributes: dict[str, str | int] = {
            **self._traced._store.span_attributes,  # noqa: SLF001
            "db.operation.name": name,
            "db.collection.name": self._noun,
        }
        span_name = f"{name} {self._noun}"
        if memory_operation := _MEMORY_OPERATIONS.get(f"{self._noun}.{name}"):
            attributes["gen_ai.operation.name"] = span_name = memory_operation
        if session_id is not None:
            attributes["gen_ai.conversation.id"] = session_id
        with self._traced._tracer.start_as_current_span(  # noqa: SLF001
            span_name,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,  # its words may be contents
            set_status_on_exception=False,
        ) as span:
            try:
                return (yield from operation)
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise


def _session_in(
    method: Callable[..., Any], arguments: tuple[Any, ...], named: Mapping[str, Any]
) -> str | None:
    """Return the session that a call is about: an argument, or a field of the first one."""
    if "session_id" in named:
        return cast("str | None", named["session_id"])
    parameters = _parameters(getattr(method, "__func__", method))
    given = dict(zip(parameters, arguments, strict=False))
    first = arguments[0] if arguments else None
    session_id = given.get("session_id", getattr(first, "session_id", None))
    return session_id if isinstance(session_id, str) else None


@cache
def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(signature(function).parameters)[1:]  # without self
