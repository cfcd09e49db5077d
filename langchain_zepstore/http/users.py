"""Operations on users as requests."""

from typing import Any

from langchain_zepstore.core.operation import Operation, Page
from langchain_zepstore.http.responses import last_id
from langchain_zepstore.http.transport import Requests, given_fields, path
from langchain_zepstore.models import CreateUserRequest, Session, UpdateUserRequest, User


class Users:
    """Creates, reads, updates, lists and deletes users."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def create(self, request: CreateUserRequest) -> Operation[User]:
        """Create a user."""
        body = given_fields(request, *CreateUserRequest.model_fields, where="user")
        answer = yield from self._requests.send("POST", path("user"), body=body)
        return answer.read(User, answer.data)

    def get(self, user_id: str) -> Operation[User]:
        """Return a live user."""
        answer = yield from self._requests.get(path("user", user_id))
        return answer.read(User, answer.data)

    def update(self, request: UpdateUserRequest) -> Operation[User]:
        """Change the fields that are given; ``None`` clears."""
        fields = CreateUserRequest.model_fields
        given = [name for name in fields if name in request.model_fields_set]
        body = given_fields(request, *given, where="user", with_none=True)
        answer = yield from self._requests.send(
            "PATCH", path("user", request.user_id), body=body, repeatable=True
        )
        return answer.read(User, answer.data)

    def delete(self, user_id: str) -> Operation[None]:
        """Soft-delete a user and the user's sessions."""
        yield from self._requests.send("DELETE", path("user", user_id))

    def listed(self, limit: int, cursor: int) -> Operation[list[User]]:
        """Return live users with ids above the cursor, by id; all of them with limit 0."""
        answer = yield from self._requests.get(
            path("user"), limit=limit or None, cursor=cursor or None
        )
        return answer.read_list(User, answer.data)

    def page(self, limit: int, cursor: Any) -> Operation[Page[User]]:
        """Return the page after a page's cursor."""
        users = yield from self.listed(limit, cursor or 0)
        return Page(users, last_id(users) if len(users) == limit else None)

    def sessions(self, user_id: str) -> Operation[list[Session]]:
        """Return the live sessions of a user, by id."""
        answer = yield from self._requests.get(path("user", user_id, "sessions"))
        return answer.read_sessions(answer.data)
