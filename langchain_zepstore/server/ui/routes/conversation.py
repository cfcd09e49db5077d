"""One session: its messages, and the actions on it."""

from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Response
from starlette.responses import StreamingResponse

from langchain_zepstore.errors import BadRequestError, NotFoundError
from langchain_zepstore.messages.wire import to_json
from langchain_zepstore.models import Excerpt, Session
from langchain_zepstore.server.schemas import Id, MessageId
from langchain_zepstore.server.ui.conversation import LIMIT, as_json, shown
from langchain_zepstore.server.ui.visits import Visit, Visiting

_PAGE_SIZE = 40
_MARKS: dict[str, tuple[str, str, dict[str, bool]]] = {
    "pin": ("Pinned.", "unpin", {"pinned": True}),
    "unpin": ("No longer pinned.", "pin", {"pinned": False}),
    "archive": ("Archived.", "unarchive", {"archived": True}),
    "unarchive": ("No longer archived.", "archive", {"archived": False}),
}
_MAX_JSON = 20_000  # characters of a session's metadata


def add_routes(router: APIRouter) -> None:
    """Add the routes."""

    @router.get("/sessions/{session_id}")
    async def conversation(
        visit: Visiting,
        session_id: Id,
        before: MessageId = None,
        after: MessageId = None,
        around: MessageId = None,
        deleted: bool = False,
    ) -> Response:
        session = await found_session(visit, session_id)
        with_deleted = deleted or session.deleted_at is not None
        excerpts = await visit.client.message.awindow(
            session_id,
            _PAGE_SIZE,
            before=before,
            after=after,
            around=around,
            include_deleted=with_deleted,
            content_limit=LIMIT,
        )
        start = _start(excerpts, after, around)
        window = shown(excerpts, session_id, start=start)
        # Around a message, each half may be full.
        size, count = _PAGE_SIZE // 2 if around else _PAGE_SIZE, len(excerpts)
        is_full_before = (count if start is None else start) >= size
        is_full_after = start is not None and count - start >= size
        memory = await visit.client.memory.aget_memory(session_id, 0)
        return visit.render(
            "conversation.html",
            session=session,
            window=window,
            is_earlier=window.is_cut_before or is_full_before or after is not None,
            is_later=window.is_cut_after or is_full_after or before is not None,
            is_window=before is not None or after is not None or around is not None,
            with_deleted=with_deleted,
            count=None if session.deleted_at else await visit.client.message.acount(session_id),
            summary=memory.summary,
            metadata=as_json(session.metadata, _MAX_JSON) if session.metadata else None,
        )

    @router.get("/sessions/{session_id}/live")
    async def live(visit: Visiting, session_id: Id, after: MessageId = None) -> Response:
        """Return the messages that came since one, for a page that is open."""
        excerpts: list[Excerpt] = await visit.client.message.awindow(
            session_id, _PAGE_SIZE, after=after, content_limit=LIMIT
        )
        if not excerpts:
            return Response(status_code=204)
        session = await found_session(visit, session_id)
        return visit.render(
            "live.html", session=session, window=shown(excerpts, session_id, start=0)
        )

    @router.get("/sessions/{session_id}/export")
    async def export(visit: Visiting, session_id: Id) -> Response:
        await found_session(visit, session_id)
        lines = visit.client.aexport(session_id=session_id)
        return download(lines, "session.jsonl")

    _add_actions(router)


def _add_actions(router: APIRouter) -> None:
    @router.post("/sessions/{session_id}/rename")
    async def rename(visit: Visiting, session_id: Id) -> Response:
        title = visit.field("title").strip() or None
        return await _organized(visit, session_id, "The title was changed.", title=title)

    @router.post("/sessions/{session_id}/tag")
    async def tag(visit: Visiting, session_id: Id) -> Response:
        tags = [tag for part in visit.field("tags").split(",") if (tag := part.strip())]
        return await _organized(visit, session_id, "The tags were changed.", tags=tags)

    @router.post("/sessions/{session_id}/delete")
    async def delete(visit: Visiting, session_id: Id) -> Response:
        session = await visit.client.memory.aget_session(session_id)
        await visit.client.memory.adelete_memory(session_id)
        name = session.title or session_id
        undo = visit.url("sessions", session_id, "restore")
        return visit.redirect(text=f"“{name[:80]}” was moved to the trash.", undo=undo)

    @router.post("/sessions/{session_id}/restore")
    async def restore(visit: Visiting, session_id: Id) -> Response:
        await visit.client.memory.aundelete_session(session_id)
        return visit.redirect("sessions", session_id, text="Restored.")

    @router.post("/sessions/{session_id}/erase")
    async def erase(visit: Visiting, session_id: Id) -> Response:
        await found_session(visit, session_id)
        if visit.field("confirmation") != session_id:
            raise BadRequestError("to erase the session, type its id; nothing was erased")
        counts = await visit.client.memory.aerase_session(session_id)
        return visit.redirect(text=f"Erased for good, with {counts['messages']:,} messages.")

    @router.post("/sessions/{session_id}/{mark}")
    async def mark(visit: Visiting, session_id: Id, mark: str) -> Response:
        if mark not in _MARKS:
            raise NotFoundError(f"a session has no button for {mark!r}")
        text, undo, changes = _MARKS[mark]
        return await _organized(visit, session_id, text, undo=undo, **changes)


def download(lines: AsyncIterator[dict[str, Any]], name: str) -> Response:
    """Return lines as a file, in flat memory."""

    async def encoded() -> AsyncIterator[bytes]:
        async for line in lines:
            yield to_json(line) + b"\n"

    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(encoded(), media_type="application/x-ndjson", headers=headers)


async def found_session(visit: Visit, session_id: str) -> Session:
    """Return a session, live or deleted.

    Raises:
        NotFoundError: There is none.
    """
    session = await visit.client.arun(lambda store: store.sessions.find(session_id))
    if session is None:
        raise NotFoundError(f"there is no session {session_id!r}")
    return session


def _start(excerpts: list[Excerpt], after: str | None, around: str | None) -> int | None:
    """Return the index of the message that a page is about."""
    if around is not None:
        at = (index for index, excerpt in enumerate(excerpts) if excerpt.uuid == around)
        return next(at, len(excerpts) // 2)  # it may be deleted
    return 0 if after is not None else None


async def _organized(
    visit: Visit, session_id: str, text: str, *, undo: str | None = None, **changes: Any
) -> Response:
    await visit.client.memory.aorganize_session(session_id, **changes)
    undo_url = visit.url("sessions", session_id, undo) if undo else None
    return visit.redirect("sessions", session_id, text=text, undo=undo_url)
