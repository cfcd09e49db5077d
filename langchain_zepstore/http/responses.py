"""A server's answers: JSON to models, status and text to errors."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from langchain_zepstore import errors
from langchain_zepstore.core.arguments import as_read
from langchain_zepstore.errors import APIError
from langchain_zepstore.messages.wire import ERROR_HEADER, EXACT, from_json
from langchain_zepstore.models import Memory, Message, Session, Summary, User

Model = TypeVar("Model", bound=BaseModel)

_MAX_SHOWN = 500  # characters of an unexpected answer
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
    error_class.__name__: error_class
    for error_class in (
        errors.AlreadyExistsError,
        errors.APIError,
        errors.AuthError,
        errors.BadRequestError,
        errors.NotFoundError,
        errors.StoreUnavailableError,
    )
}
_NESTED: dict[str, type[BaseModel]] = {
    "last_message": Message,
    "message": Message,
    "summary": Summary,
}
_EXISTS = "already exists"  # Zep's only word for it


@cache  # pydantic takes a while to say
def _fields_of(model: type[BaseModel]) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names of a model's fields, and which of them hold models."""
    names = frozenset(model.model_fields)
    return names, names & _NESTED.keys()


class Answer:
    """A successful answer.

    Attributes:
        headers: Its headers.
    """

    def __init__(self, response: httpx.Response, server: str) -> None:
        self.headers = response.headers
        self._response = response
        self._server = server
        self._is_exact = response.headers.get("content-type", "").startswith(EXACT)

    @property
    def data(self) -> Any:
        """The value of the JSON.

        Raises:
            APIError: It is something else.
        """
        return self._parsed(self._response.content)

    @property
    def lines(self) -> list[Any]:
        """The values of JSON lines.

        Raises:
            APIError: They are something else.
        """
        return [self._parsed(line) for line in self._response.content.splitlines() if line.strip()]

    def _parsed(self, text: bytes) -> Any:
        try:
            return from_json(text, is_exact=self._is_exact)
        except (ValueError, OverflowError, RecursionError) as error:
            raise self._unexpected_answer(str(error)) from error

    @property
    def new_ids(self) -> dict[str, str]:
        """Which messages of an add got another id; servers without known ids say ``OK``.

        Raises:
            APIError: It is something else.
        """
        if "json" not in self.headers.get("content-type", ""):
            return {}
        match self.data:
            case {"new_ids": dict() as new_ids} if all(
                isinstance(each, str) for each in new_ids.values()
            ):
                return new_ids
        raise self._unexpected_answer("no new ids")

    def read(self, model: type[Model], fields: Any) -> Model:
        """Return the model of a JSON object.

        Raises:
            APIError: It is something else.
        """
        if not isinstance(fields, Mapping):
            raise self._unexpected_answer(f"a {type(fields).__name__} is no {model.__name__}")
        names, nested = _fields_of(model)
        known = {name: value for name, value in fields.items() if name in names}
        try:
            for name in nested:
                if isinstance(known.get(name), Mapping):
                    known[name] = self.read(_NESTED[name], known[name])
            return model(**known)
        except (ValidationError, ValueError, OverflowError) as error:
            raise self._unexpected_answer(str(error)) from error

    def read_list(self, model: type[Model], objects: Any) -> list[Model]:
        """Return the models of a JSON array; ``null`` is an empty one, as servers in Go write it.

        Raises:
            APIError: It is something else.
        """
        if objects is None:
            return []
        if not isinstance(objects, list):
            raise self._unexpected_answer(
                f"a {type(objects).__name__} is no list of {model.__name__}"
            )
        return [self.read(model, fields) for fields in objects]

    def read_session(self, fields: Any) -> Session:
        """Return the session of a JSON object; an update with it changes what is assigned since.

        Raises:
            APIError: It is something else.
        """
        return as_read(self.read(Session, fields))

    def read_sessions(self, objects: Any) -> list[Session]:
        """Return the sessions of a JSON array, likewise.

        Raises:
            APIError: It is something else.
        """
        return [as_read(session) for session in self.read_list(Session, objects)]

    def objects(self, array: Any) -> list[Mapping[str, Any]]:
        """Return the objects of a JSON array; ``null`` is an empty one.

        Raises:
            APIError: It is something else.
        """
        array = array or []
        if not isinstance(array, list) or not all(isinstance(each, Mapping) for each in array):
            raise self._unexpected_answer("no list of objects")
        return array

    def read_memory(self, fields: Any) -> Memory:
        """Return the memory of a JSON object; an all-zero summary is none.

        Raises:
            APIError: It is something else.
        """
        if not isinstance(fields, Mapping):
            raise self._unexpected_answer(f"a {type(fields).__name__} is no Memory")
        summary = fields.get("summary")
        is_one = isinstance(summary, Mapping) and summary.get("content")
        return Memory(
            messages=self.read_list(Message, fields.get("messages")),
            summary=self.read(Summary, summary) if is_one else None,
        )

    def field(self, name: str) -> Any:
        """Return a field of the JSON object.

        Raises:
            APIError: It is no object, or has no such field.
        """
        data = self.data
        if not isinstance(data, Mapping) or name not in data:
            raise self._unexpected_answer(f"no {name}")
        return data[name]

    def count(self, name: str) -> int:
        """Return a field of the JSON object that is a count.

        Raises:
            APIError: It is something else.
        """
        value = self.field(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._unexpected_answer(f"{name} is no count")
        return value

    def text(self, name: str) -> str | None:
        """Return a field of the JSON object that is a text or null.

        Raises:
            APIError: It is something else.
        """
        value = self.field(name)
        if not isinstance(value, str | None):
            raise self._unexpected_answer(f"{name} is no text")
        return value

    def _unexpected_answer(self, reason: str) -> APIError:
        shown = self._response.text[:_MAX_SHOWN]
        return APIError(f"{self._server} gave an unexpected answer: {reason}: {shown}")


def is_temporary(response: httpx.Response) -> bool:
    """Whether the same request may succeed a moment later."""
    return response.status_code in {502, 503, 504}


def failure(response: httpx.Response, server: str) -> errors.ZepStoreError | None:
    """Return the error that an answer reports; ``None`` if it is a success."""
    if response.is_success:
        return None
    text = response.text.strip()[:_MAX_SHOWN] or response.reason_phrase
    status = response.status_code
    error_class: type[errors.ZepStoreError] = _BY_STATUS.get(status, APIError)
    if name := response.headers.get(ERROR_HEADER):
        error_class = _BY_NAME.get(name, error_class)
    elif error_class is errors.BadRequestError and _EXISTS in text:
        error_class = errors.AlreadyExistsError
    if error_class in (errors.NotFoundError, errors.BadRequestError, errors.AlreadyExistsError):
        return error_class(text)
    if error_class is errors.AuthError:
        return error_class(f"{server} refused the API key ({text}); check api_key")
    return error_class(f"{server} answered {status}: {text}")


def last_id(listed: Sequence[Session | User]) -> int:
    """Return the cursor after a page that is not empty.

    Raises:
        APIError: The last item has no id.
    """
    last = listed[-1].id
    if last is None:
        raise APIError("the server listed an item without an id, which the cursor needs")
    return last
