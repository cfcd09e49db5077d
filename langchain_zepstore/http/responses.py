"""A server's answers: JSON to models, status and text to errors."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from langchain_zepstore import errors
from langchain_zepstore.errors import APIError
from langchain_zepstore.messages.wire import ERROR_HEADER, EXACT, from_exact, from_json
from langchain_zepstore.models import Memory, Message, Session, Summary, User

Model = TypeVar("Model", bound=BaseModel)

_SHOWN = 500  # characters of an answer that was not understood
_BY_STATUS: dict[int, type[errors.ZepStoreError]] = {
    400: errors.BadRequestError,
    401: errors.AuthError,
    403: errors.AuthError,
    404: errors.NotFoundError,
    408: errors.StoreUnavailableError,
    413: errors.BadRequestError,
    414: errors.BadRequestError,
    429: errors.StoreUnavailableError,
    431: errors.BadRequestError,
    502: errors.StoreUnavailableError,
    503: errors.StoreUnavailableError,
    504: errors.StoreUnavailableError,
}
_BY_NAME: dict[str, type[errors.ZepStoreError]] = {
    kind.__name__: kind
    for kind in (
        errors.AlreadyExistsError,
        errors.APIError,
        errors.AuthError,
        errors.BadRequestError,
        errors.NotFoundError,
        errors.StoreUnavailableError,
    )
}
_EXISTS = "already exists"  # Zep's only word for it


class Answer:
    """What a server answered with success.

    Attributes:
        headers: Its headers.
    """

    def __init__(self, response: httpx.Response, place: str) -> None:
        self.headers = response.headers
        self._response = response
        self._place = place
        self._is_exact = response.headers.get("content-type", "").startswith(EXACT)

    @property
    def data(self) -> Any:
        """The value of the JSON.

        Raises:
            APIError: It is none.
        """
        return self._parsed(self._response.content)

    @property
    def lines(self) -> list[Any]:
        """The values of JSON lines.

        Raises:
            APIError: They are none.
        """
        return [self._parsed(line) for line in self._response.content.splitlines() if line.strip()]

    def _parsed(self, text: bytes) -> Any:
        try:
            return from_json(text)
        except ValueError as error:
            raise self._nonsense(str(error)) from error

    def read(self, kind: type[Model], fields: Any) -> Model:
        """Return the model of a JSON object.

        Raises:
            APIError: It is none.
        """
        if not isinstance(fields, Mapping):
            raise self._nonsense(f"a {type(fields).__name__} is no {kind.__name__}")
        known = {name: value for name, value in fields.items() if name in kind.model_fields}
        try:
            for name in ("metadata", "langchain"):
                if self._is_exact and known.get(name) is not None:
                    known[name] = from_exact(known[name])
            return kind(**known)
        except (ValidationError, ValueError, OverflowError) as error:
            raise self._nonsense(str(error)) from error

    def read_list(self, kind: type[Model], several: Any) -> list[Model]:
        """Return the models of a JSON array; none of ``null``, as servers in Go say it.

        Raises:
            APIError: It is none.
        """
        if several is None:
            return []
        if not isinstance(several, list):
            raise self._nonsense(f"a {type(several).__name__} is no list of {kind.__name__}")
        return [self.read(kind, fields) for fields in several]

    def objects(self, several: Any) -> list[Mapping[str, Any]]:
        """Return the objects of a JSON array; none of ``null``.

        Raises:
            APIError: It is none.
        """
        several = several or []
        if not isinstance(several, list) or not all(isinstance(one, Mapping) for one in several):
            raise self._nonsense("no list of objects")
        return several

    def read_memory(self, fields: Any) -> Memory:
        """Return the memory of a JSON object; an all-zero summary is none.

        Raises:
            APIError: It is none.
        """
        if not isinstance(fields, Mapping):
            raise self._nonsense(f"a {type(fields).__name__} is no Memory")
        summary = fields.get("summary")
        is_one = isinstance(summary, Mapping) and summary.get("content")
        return Memory(
            messages=self.read_list(Message, fields.get("messages")),
            summary=self.read(Summary, summary) if is_one else None,
        )

    def field(self, name: str) -> Any:
        """Return a field of the JSON object.

        Raises:
            APIError: It is none, or has no such field.
        """
        data = self.data
        if not isinstance(data, Mapping) or name not in data:
            raise self._nonsense(f"no {name}")
        return data[name]

    def count(self, name: str) -> int:
        """Return a field of the JSON object that says how many.

        Raises:
            APIError: It does not.
        """
        value = self.field(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._nonsense(f"{name} is no number of things")
        return value

    def text(self, name: str) -> str | None:
        """Return a field of the JSON object that is a text or null.

        Raises:
            APIError: It is neither.
        """
        value = self.field(name)
        if not isinstance(value, str | None):
            raise self._nonsense(f"{name} is no text")
        return value

    def _nonsense(self, reason: str) -> APIError:
        shown = self._response.text[:_SHOWN]
        return APIError(f"{self._place} gave an answer that makes no sense here: {reason}: {shown}")


def is_temporary(response: httpx.Response) -> bool:
    """Whether the same request may succeed a moment later."""
    return response.status_code in {502, 503, 504}


def failure(response: httpx.Response, place: str) -> errors.ZepStoreError | None:
    """Return the error that an answer tells of; ``None`` if it tells of success."""
    if response.is_success:
        return None
    said = response.text.strip()[:_SHOWN] or response.reason_phrase
    status = response.status_code
    kind: type[errors.ZepStoreError] = _BY_STATUS.get(status, APIError)
    if name := response.headers.get(ERROR_HEADER):
        kind = _BY_NAME.get(name, kind)
    elif kind is errors.BadRequestError and _EXISTS in said:
        kind = errors.AlreadyExistsError
    if kind in (errors.NotFoundError, errors.BadRequestError, errors.AlreadyExistsError):
        return kind(said)
    if kind is errors.AuthError:
        return kind(f"{place} refused the API key ({said}); check api_key")
    return kind(f"{place} answered {status}: {said}")


def last_id(listed: Sequence[Session | User]) -> int:
    """Return the cursor behind a listing's page that is not empty.

    Raises:
        APIError: The server gave none.
    """
    last = listed[-1].id
    if last is None:
        raise APIError("a server listed something without an id, which is the cursor of listings")
    return last
