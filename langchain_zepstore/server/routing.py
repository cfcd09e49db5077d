"""Routes that FastAPI documents, and that read their parameters themselves.

FastAPI looks at the types of all parameters anew with every request, which takes longer than to
read a session's last messages.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, get_args, get_origin

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

_Read = Callable[[Request, list[Any]], dict[str, Any]]


class Route(APIRoute):
    """A route with parameters in the path, the query and headers; its dependencies do not wait.

    Args:
        path: The path.
        endpoint: The function that answers.
        options: FastAPI's.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.app = self._answer
        self._read = _reader(self.dependant)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, errors = Request(scope, receive, send), list[Any]()
        arguments = self._read(request, errors)
        if errors:
            raise RequestValidationError(errors)
        response: Response = await self.endpoint(**arguments)
        await response(scope, receive, send)


def _reader(dependant: Dependant) -> _Read:
    """Return a function that reads a function's arguments, and adds errors to a list.

    A parameter that is not given is left out, so its default stays.
    """
    dependencies = [(each.name, each.call, _reader(each)) for each in dependant.dependencies]
    parameters = [
        (attrgetter(source), field, field.alias, _is_list(field), (place, field.alias))
        for source, place, fields in (
            ("path_params", "path", dependant.path_params),
            ("query_params", "query", dependant.query_params),
            ("headers", "header", dependant.header_params),
        )
        for field in fields
    ]

    def read(request: Request, errors: list[Any]) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        if dependant.request_param_name:
            arguments[dependant.request_param_name] = request
        for name, call, read_inner in dependencies:
            given = read_inner(request, errors)
            if call and not errors:
                value = call(**given)
                if name:
                    arguments[name] = value
        for source, field, alias, is_list, location in parameters:
            values = source(request)
            if alias in values:
                value = values.getlist(alias) if is_list else values[alias]
                arguments[field.name], wrong = field.validate(value, {}, loc=location)
                errors.extend(wrong or ())
        return arguments

    return read


def _is_list(field: Any) -> bool:
    annotation = field.field_info.annotation
    return any(get_origin(each) is list for each in (annotation, *get_args(annotation)))
