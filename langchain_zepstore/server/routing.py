"""Routes that FastAPI documents, and that read their parameters themselves.

FastAPI looks at the types of all parameters anew with every request, which takes longer than to
read a session's last messages.
"""

from collections.abc import Callable, Coroutine
from typing import Any, get_args, get_origin

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

_Read = Callable[[Request, list[Any]], dict[str, Any]]


class Route(APIRoute):
    """A route with parameters in the path, the query and headers; its dependencies do not wait."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the function that answers."""
        endpoint, read = self.endpoint, _reader(self.dependant)

        async def answer(request: Request) -> Response:
            errors: list[Any] = []
            arguments = read(request, errors)
            if errors:
                raise RequestValidationError(errors)
            response: Response = await endpoint(**arguments)
            return response

        return answer


def _reader(dependant: Dependant) -> _Read:
    """Return a function that reads a function's arguments, and adds errors to a list."""
    dependencies = [(each.name, each.call, _reader(each)) for each in dependant.dependencies]
    path = [_parameter(field, "path") for field in dependant.path_params]
    query = [_parameter(field, "query") for field in dependant.query_params]
    headers = [_parameter(field, "header") for field in dependant.header_params]

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
        for take in path:
            take(request.path_params, arguments, errors)
        if query and request.scope["query_string"]:
            for take in query:
                take(request.query_params, arguments, errors)
        for take in headers:
            take(request.headers, arguments, errors)
        return arguments

    return read


def _parameter(field: Any, place: str) -> Callable[[Any, dict[str, Any], list[Any]], None]:
    """Return a function that adds a parameter to arguments; without one the default stays."""
    name, alias, location = field.name, field.alias, (place, field.alias)
    annotation = field.field_info.annotation
    is_list = any(get_origin(each) is list for each in (annotation, *get_args(annotation)))

    def take(given: Any, arguments: dict[str, Any], errors: list[Any]) -> None:
        if alias in given:
            value = given.getlist(alias) if is_list else given[alias]
            arguments[name], wrong = field.validate(value, {}, loc=location)
            errors.extend(wrong or ())

    return take
