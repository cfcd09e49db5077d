"""Search over sessions: by their titles, tags and summaries.

No index of words is kept for them: the most recent ones are read, without what else they hold.
"""

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.search_query import SearchQuery
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.models import MemorySearchResult
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.documents import Query, SessionDocument
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.indexes import recent_index
from langchain_zepstore.mongo.ownership import check_owner
from langchain_zepstore.mongo.search.index import language_of
from langchain_zepstore.mongo.search.ranking import MAX_RANKED, Candidates, asked_in, ranked
from langchain_zepstore.mongo.search.scope import filter_of
from langchain_zepstore.mongo.search.snippets import excerpt_of
from langchain_zepstore.mongo.search.text_query import TextQuery, parse_text
from langchain_zepstore.mongo.search.texts import Texts
from langchain_zepstore.mongo.search.tokens import terms_of, words_of
from langchain_zepstore.mongo.summaries import covering_summary

MAX_SESSIONS = 5000
"""The number of a user's sessions, the most recent ones, that a search looks at."""

_DIGITS = 6  # of a score: the order of a sum changes the last ones
_FIELDS = {
    **dict.fromkeys(
        ("user_id", "title", "metadata.title", "tags", "seq", "forks", "summary.seq"), 1
    ),
    "summary.content": {"$substrCP": [{"$ifNull": ["$summary.content", ""]}, 0, MAX_RANKED]},
}


class SessionSearch:
    """Finds sessions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, sought: SearchQuery) -> Operation[list[MemorySearchResult]]:
        """Return the sessions that match best; without a text the most recently active first."""
        if sought.search_type not in (None, "text"):
            raise BadRequestError(
                f"search_type {sought.search_type!r} is not for sessions, which are found by words"
            )
        query: Query = {"deleted_at": None, **filter_of(sought, "active_at", "metadata")}
        if sought.session_id is not None:
            query["_id"] = sought.session_id
        if sought.user_id is not None:
            query["user_id"] = sought.user_id
        if sought.session_id is None:
            index = recent_index(query, sought.user_id or self._database.viewer)
            yield from self._database.indexes.ensure(self._database.sessions, index)
        recent = yield from self._database.sessions.find(
            query, fields=_FIELDS, sort={"active_at": -1, "id": -1}, limit=MAX_SESSIONS
        )
        for session in recent:
            check_owner(session, sought.owner)
        language = yield from language_of(self._database)
        sessions = {session["_id"]: session for session in recent}
        scores = dict.fromkeys(sessions, 0.0)
        if sought.text.strip():
            scores = _scores(sessions, parse_text(sought.text, syntax=sought.syntax), language)
        return [
            MemorySearchResult(
                session_id=session_id,
                session_title=codecs.title_of(sessions[session_id]),
                **excerpt_of(_text(sessions[session_id]), sought.text, language),
                score=score,
                dist=score,
            )
            for session_id, score in list(scores.items())[: sought.limit]
        ]


def _scores(
    sessions: dict[str, SessionDocument], query: TextQuery, language: str
) -> dict[str, float]:
    """Return the scores of the sessions that match, the best first."""
    texts = {session_id: _text(session) for session_id, session in sessions.items()}
    without = {term for word in query.words_without for term in terms_of(word, language)}
    asked = asked_in(query.text, language)
    allowed = Texts(asked)
    for session_id, text in texts.items():
        if query.allows(text) and without.isdisjoint(words_of(text, language)):
            allowed.add((session_id, 0), text)
    rows = range(len(allowed.rows))
    best, scores = ranked(asked, allowed, Candidates.of(rows, [0.0] * len(rows)))
    session_ids = allowed.incarnations
    return {
        session_ids[row]: round(score, _DIGITS)
        for row, score in zip(best.tolist(), scores.tolist(), strict=True)
        if score > 0
    }


def _text(session: SessionDocument) -> str:
    summary = covering_summary(session) if session["summary"].get("seq") else None
    lines = [
        codecs.title_of(session) or "",
        " ".join(session.get("tags", [])),
        summary["content"] if summary else "",
    ]
    return "\n".join(filter(None, lines))
