"""One message: edited, rated, deleted and restored, its pictures, and all of it."""

from fastapi import APIRouter, Response

from langchain_zepstore.errors import BadRequestError, NotFoundError
from langchain_zepstore.messages.wire import message_fields, to_json
from langchain_zepstore.models import Excerpt
from langchain_zepstore.server.schemas import Id
from langchain_zepstore.server.ui.blocks import parts_of
from langchain_zepstore.server.ui.conversation import shown
from langchain_zepstore.server.ui.rendering import segment
from langchain_zepstore.server.ui.routes.conversation import found_session
from langchain_zepstore.server.ui.visits import Visit, Visiting

_LIMIT = 120_000  # bytes of a message that is shown by itself
_RATINGS = {"up": "Rated up.", "down": "Rated down.", "none": "The rating was removed."}
_SANDBOX = "default-src 'none'; sandbox"
_PATH = "/sessions/{session_id}/messages/{message_id}"


def add_routes(router: APIRouter) -> None:
    """Add the routes."""

    @router.get(_PATH)
    async def message(visit: Visiting, session_id: Id, message_id: Id) -> Response:
        excerpt = await _found(visit, session_id, message_id, _LIMIT)
        session = await found_session(visit, session_id)
        return visit.render(
            "message_page.html",
            session=session,
            messages=shown([excerpt], session_id, _LIMIT).messages,
        )

    _add_files(router)
    _add_actions(router)


def _add_actions(router: APIRouter) -> None:
    @router.get(f"{_PATH}/edit")
    async def editor(visit: Visiting, session_id: Id, message_id: Id) -> Response:
        excerpt = await _found(visit, session_id, message_id, _LIMIT)
        if excerpt.deleted_at is not None:
            raise NotFoundError("the message is deleted; restore it first")
        if len(excerpt.content) >= _LIMIT // 4 and excerpt.is_cut:
            raise BadRequestError("the message is too large to be edited here")
        session = await found_session(visit, session_id)
        has_more = any(part.type != "text" for part in parts_of(excerpt))
        return visit.render("edit.html", session=session, message=excerpt, has_more=has_more)

    @router.post(f"{_PATH}/edit")
    async def edit(visit: Visiting, session_id: Id, message_id: Id) -> Response:
        content = visit.field("content").replace("\r\n", "\n")
        await visit.client.message.aupdate_message(session_id, message_id, content)
        return _back(visit, session_id, message_id, "The message was changed.")

    @router.post(f"{_PATH}/delete")
    async def delete(visit: Visiting, session_id: Id, message_id: Id) -> Response:
        around = await visit.client.message.awindow(
            session_id, 1, before=message_id, content_limit=1
        )
        await visit.client.message.adelete_message(session_id, message_id)
        undo = visit.url("sessions", session_id, "messages", message_id, "restore")
        text = "The message was deleted."
        return _back(visit, session_id, around[0].uuid if around else None, text, undo)

    @router.post(f"{_PATH}/restore")
    async def restore(visit: Visiting, session_id: Id, message_id: Id) -> Response:
        await visit.client.message.aundelete_message(session_id, message_id)
        return _back(visit, session_id, message_id, "The message was restored.")

    @router.post(f"{_PATH}/rate")
    async def rate(visit: Visiting, session_id: Id, message_id: Id) -> Response:
        rating = visit.field("feedback")
        if rating not in _RATINGS:
            raise BadRequestError(f"feedback must be one of {', '.join(_RATINGS)}")
        feedback = None if rating == "none" else rating
        await visit.client.message.aupdate_message_metadata(
            session_id, message_id, {"feedback": feedback}
        )
        return _back(visit, session_id, message_id, _RATINGS[rating])

    @router.post(f"{_PATH}/switch")
    async def switch(visit: Visiting, session_id: Id, message_id: Id) -> Response:
        await visit.client.memory.aswitch_branch(session_id, message_id)
        return _back(visit, session_id, message_id, "The conversation goes on from here now.")


def _add_files(router: APIRouter) -> None:
    @router.get(f"{_PATH}/pictures/{{index}}")
    async def picture(visit: Visiting, session_id: Id, message_id: Id, index: int) -> Response:
        excerpt = await _found(visit, session_id, message_id, None)
        parts = (part for part in parts_of(excerpt) if part.picture and part.index == index)
        part = next(parts, None)
        content = part.picture.content() if part and part.picture else None
        if content is None or part is None or part.picture is None:
            raise NotFoundError("the message has no such picture")
        headers = {"Content-Security-Policy": _SANDBOX, "Content-Disposition": "inline"}
        return Response(content, headers=headers, media_type=part.picture.media_type)

    @router.get(f"{_PATH}/download")
    async def download(visit: Visiting, session_id: Id, message_id: Id) -> Response:
        excerpt = await _found(visit, session_id, message_id, None)
        fields = message_fields(excerpt, is_exact=True)
        headers = {"Content-Disposition": 'attachment; filename="message.json"'}
        return Response(to_json(fields), headers=headers, media_type="application/json")


async def _found(
    visit: Visit, session_id: str, message_id: str, content_limit: int | None
) -> Excerpt:
    found = await visit.client.message.awindow(
        session_id, 1, around=message_id, include_deleted=True, content_limit=content_limit
    )
    if not found or found[0].uuid != message_id:
        raise NotFoundError(f"session {session_id!r} has no message {message_id!r}")
    return found[0]


def _back(
    visit: Visit, session_id: str, message_id: str | None, text: str, undo: str | None = None
) -> Response:
    """Return to the conversation, where the message is or was."""
    anchor = f"#m-{segment(message_id)}" if message_id else ""
    query = {"around": message_id}
    return visit.redirect("sessions", session_id, text=text, undo=undo, query=query, anchor=anchor)
