"""Users."""

from typing import Any

from fastapi import APIRouter, Request, Response

from langchain_zepstore.core.operation import Page
from langchain_zepstore.models import CreateUserRequest, Session, UpdateUserRequest, User
from langchain_zepstore.server.auth import Client
from langchain_zepstore.server.openapi import OK, accepts, failures
from langchain_zepstore.server.responses import Answers, ok_response
from langchain_zepstore.server.routes.sessions import listed
from langchain_zepstore.server.schemas import Cursor, Id, Limit, UserBody, UserPatch, read_body
from langchain_zepstore.server.streaming import PAGE, json_array
from langchain_zepstore.store_client import StoreClient


def add_routes(router: APIRouter, noun: str) -> None:
    """Add Zep's routes, under the noun that its version has for them."""

    @router.post(
        noun,
        status_code=201,
        response_model=User,
        openapi_extra=accepts(UserBody),
        responses=failures(400),
    )
    async def add_user(request: Request, client: Client) -> Response:
        """Create a user."""
        body = await read_body(request, UserBody)
        created = await client.user.aadd(CreateUserRequest(**dict(body)))
        return Answers.to(request).user(created, 201)

    @router.get(noun, response_model=list[User], responses=failures(400))
    async def list_users(
        request: Request, client: Client, limit: Limit = None, cursor: Cursor = None
    ) -> Response:
        """List users by their `id`."""
        return await _listed(client, Answers.to(request), limit, cursor)

    @router.get(noun + "/{user_id}", response_model=User, responses=failures(400, 404))
    async def get_user(request: Request, client: Client, user_id: Id) -> Response:
        """Return a user."""
        return Answers.to(request).user(await client.user.aget(user_id))

    @router.patch(
        noun + "/{user_id}",
        response_model=User,
        openapi_extra=accepts(UserPatch),
        responses=failures(400, 404),
    )
    async def update_user(request: Request, client: Client, user_id: Id) -> Response:
        """Change a user."""
        body = await read_body(request, UserPatch)
        changes = UpdateUserRequest(user_id=user_id, **body.model_dump(exclude_unset=True))
        return Answers.to(request).user(await client.user.aupdate(changes))

    @router.delete(noun + "/{user_id}", responses={**OK, **failures(400, 404)})
    async def delete_user(client: Client, user_id: Id) -> Response:
        """Soft-delete a user and the user's sessions."""
        await client.user.adelete(user_id)
        return ok_response()

    @router.get(
        noun + "/{user_id}/sessions", response_model=list[Session], responses=failures(400, 404)
    )
    async def user_sessions(request: Request, client: Client, user_id: Id) -> Response:
        """List a user's sessions by their `id`."""
        return await listed(client, Answers.to(request), None, None, user_id=user_id)


async def _listed(
    client: StoreClient, answers: Answers, limit: int | None, cursor: int | None
) -> Response:
    if limit is not None:
        return answers.users(await client.user.alist(limit, cursor))

    async def fetch(after: Any) -> Page[User]:
        users = await client.user.alist(PAGE, after)
        return Page(users, users[-1].id if len(users) == PAGE else None)

    return await json_array(fetch, cursor, answers.user_fields, answers.media_type)
