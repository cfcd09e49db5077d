"""The pages of users: the list, and one user's data."""

from fastapi import APIRouter, Response

from langchain_zepstore.errors import BadRequestError, NotFoundError
from langchain_zepstore.models import User
from langchain_zepstore.server.schemas import Cursor, Id, Text
from langchain_zepstore.server.ui.conversation import as_json
from langchain_zepstore.server.ui.routes.conversation import download
from langchain_zepstore.server.ui.routes.sessions import PREVIEW_BYTES
from langchain_zepstore.server.ui.visits import Visit, Visiting

_PAGE_SIZE = 50
_SESSIONS = 10
_MAX_JSON = 20_000  # characters of a user's metadata


def add_routes(router: APIRouter) -> None:
    """Add the routes."""

    @router.get("/users")
    async def users(visit: Visiting, q: Text = None, cursor: Cursor = None) -> Response:
        if q is not None:
            user = await _found(visit, q.strip())
            listed = [user] if user else []
        else:
            listed = await visit.client.user.alist(_PAGE_SIZE, cursor)
        next_cursor = listed[-1].id if len(listed) == _PAGE_SIZE else None
        return visit.render(
            "users.html", users=listed, q=q, is_first=cursor is None, next_cursor=next_cursor
        )

    @router.get("/users/{user_id}")
    async def user(visit: Visiting, user_id: Id, count: bool = False) -> Response:
        memory = visit.client.memory
        found = await _found(visit, user_id)
        sessions = await memory.arecent_sessions(
            _SESSIONS, user_id=user_id, preview=True, content_limit=PREVIEW_BYTES
        )
        trash = await memory.arecent_sessions(1, user_id=user_id, deleted=True)
        if not (found or sessions.sessions or trash.sessions):
            raise NotFoundError(f"there is no user {user_id!r}")
        metadata = found and found.metadata
        return visit.render(
            "user.html",
            user=found,
            user_id=user_id,
            sessions=sessions.sessions,
            is_more=sessions.next_cursor is not None,
            is_trash=bool(trash.sessions),
            metadata=as_json(metadata, _MAX_JSON) if metadata else None,
            counts=await visit.client.user.aerase(user_id, dry_run=True) if count else None,
        )

    @router.get("/users/{user_id}/export")
    async def export(visit: Visiting, user_id: Id) -> Response:
        return download(visit.client.user.aexport(user_id), "user.jsonl")

    @router.post("/users/{user_id}/erase")
    async def erase(visit: Visiting, user_id: Id) -> Response:
        if visit.field("confirmation") != user_id:
            raise BadRequestError("to erase the user, type the user's id; nothing was erased")
        counts = await visit.client.user.aerase(user_id)
        if not any(counts.values()):
            raise NotFoundError(f"nothing is kept of a user {user_id!r}")
        numbers = f"{counts['sessions']:,} sessions and {counts['messages']:,} messages"
        return visit.redirect("users", text=f"{user_id[:80]} was erased for good, with {numbers}.")


async def _found(visit: Visit, user_id: str) -> User | None:
    try:
        return await visit.client.user.aget(user_id)
    except NotFoundError:
        return None
