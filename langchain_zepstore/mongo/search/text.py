"""Messages by their words: what the text index finds, ranked."""

import re
from collections.abc import Sequence

from langchain_zepstore.core.arguments import SearchQuery
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.mongo.documents import MessageDocument, Query
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.driver.errors import MissingIndexError
from langchain_zepstore.mongo.search.hits import Found, live_at, place_of
from langchain_zepstore.mongo.search.index import ensure_search_index
from langchain_zepstore.mongo.search.ranking import answers, candidate, ranked
from langchain_zepstore.mongo.search.scope import Selection

_SCORE = {"$meta": "textScore"}
_CANDIDATES = 500  # what the index gives to choose from; fewer lose some of what is looked for
_RANKED = {"session_id": 1, "seq": 1, "role": 1, "content": 1}
_DIGITS = 6  # of a score: the order of a sum changes the last ones
_SYNTAX = re.compile(r'["\-]')  # quotes ask for phrases, a minus leaves out
_LEFT_OUT = re.compile(r'(?<!\S)-(?:"[^"]*"?|\S+)')


class TextSearch:
    """The text index of a database's messages."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._messages = database.messages

    def best(
        self, selection: Selection, sought: SearchQuery, near: Sequence[Found] = ()
    ) -> Operation[list[Found]]:
        """Return the messages that match a text best, the best first; of equal ones the earlier.

        Args:
            selection: What to choose from.
            sought: The text, and how it is meant.
            near: What was found by its meaning, to be ranked with what is found by its words.
        """
        text, has_syntax = sought.text, sought.syntax
        asked = text if has_syntax else _SYNTAX.sub(" ", text)
        words = _LEFT_OUT.sub(" ", text) if has_syntax else asked
        found, language = yield from self._found(selection, asked, sought.limit)
        similarity = {each.place: each.score for each in near}
        words_found = {place_of(message) for message in found}
        others = {each.place: each.session_id for each in near if each.place not in words_found}
        found += yield from live_at(self._database, others, _RANKED)
        candidates = [candidate(message, similarity.get(place_of(message))) for message in found]
        sessions = {message["_id"]["s"]: message["session_id"] for message in found}
        places = {place: sessions[place[0]] for place in answers(words, candidates)}
        after = yield from live_at(self._database, places, _RANKED, selection.narrowing)
        candidates += [candidate(message) for message in after]
        best = ranked(words, candidates, language, sought.similarity_weight)[: sought.limit]
        return [Found(place, sessions[place[0]], round(score, _DIGITS)) for place, score in best]

    def _found(
        self, selection: Selection, asked: str, limit: int
    ) -> Operation[tuple[list[MessageDocument], str]]:
        """Return what the index finds, and its language."""
        language = yield from ensure_search_index(self._database)
        if not asked.strip():
            return [], language
        query = {**selection.query(), "$text": {"$search": asked}}
        try:
            found = yield from self._by_index(query, limit)
        except MissingIndexError:  # dropped meanwhile, perhaps to be made in another language
            self._database.search_language = None
            language = yield from ensure_search_index(self._database)
            found = yield from self._by_index(query, limit)
        return found, language

    def _by_index(self, query: Query, limit: int) -> Operation[list[MessageDocument]]:
        return self._messages.find(
            query,
            sort={"score": _SCORE, "session_id": 1, "seq": 1},
            limit=max(limit, _CANDIDATES),
            fields={**_RANKED, "score": _SCORE},
        )
