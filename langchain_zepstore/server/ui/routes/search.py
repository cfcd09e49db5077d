"""The page of a search over messages."""

from collections.abc import Iterable

from fastapi import APIRouter, Response
from markupsafe import Markup

from langchain_zepstore.models import MemorySearchResult, User
from langchain_zepstore.server.schemas import Text
from langchain_zepstore.server.ui.rendering import query_of, segment, visible
from langchain_zepstore.server.ui.visits import Visit, Visiting

_LIMIT = 50
_USERS = 20
_SCOPES = {"messages": "Messages", "sessions": "Titles and tags", "summary": "Summaries"}
_TYPES = {"": "Words and meaning", "text": "Words", "similarity": "Meaning"}


def add_routes(router: APIRouter) -> None:
    """Add the routes."""

    @router.get("/search")
    async def search(
        visit: Visiting,
        q: Text = None,
        user_id: Text = None,
        session_id: Text = None,
        scope: Text = None,
        search_type: Text = None,
    ) -> Response:
        is_placed = bool(user_id or session_id or visit.client.user_id or scope == "sessions")
        results: list[MemorySearchResult] = []
        users: list[User] = []
        if is_placed and (q or scope == "summary"):
            results = await visit.client.memory.asearch(
                q,
                user_id=user_id,
                session_id=session_id,
                search_scope=scope,
                search_type=search_type,
                limit=_LIMIT,
            )
        elif not is_placed:
            users = await visit.client.user.alist(_USERS)
        return visit.render(
            "search.html",
            q=q,
            user_id=user_id,
            session_id=session_id,
            scope=scope or "messages",
            scopes=_SCOPES,
            search_type=search_type or "",
            types=_TYPES if visit.client.has_embeddings else {},
            is_placed=is_placed,
            users=users,
            limit=_LIMIT,
            results=[(each, _url(visit, each), _marked(each)) for each in results],
        )


def _url(visit: Visit, result: MemorySearchResult) -> str:
    """Return where a result stands: its message in the conversation, or the conversation."""
    url = visit.url("sessions", str(result.session_id))
    if result.message is None:
        return url
    message_id = str(result.message.uuid)
    return f"{url}{query_of(around=message_id)}#m-{segment(message_id)}"


def _marked(result: MemorySearchResult) -> Markup:
    """Return a snippet as HTML, the words of the query marked."""
    text = result.snippet or ""
    return Markup("").join(_pieces(text, result.highlights))


def _pieces(text: str, highlights: Iterable[tuple[int, int]]) -> Iterable[Markup]:
    last = 0
    for start, end in highlights:
        start = max(start, last)  # noqa: PLW2901 - pairs of letters overlap
        yield Markup("{}<mark>{}</mark>").format(
            visible(text[last:start]), visible(text[start:end])
        )
        last = end
    yield Markup("{}").format(visible(text[last:]))
