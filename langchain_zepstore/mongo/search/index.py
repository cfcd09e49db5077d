"""The indexes of tokens: their language, and giving messages the tokens that they lack.

Adding a message does not make its tokens; a search makes those of what it has not met yet. So who
never searches pays nothing, and what was replaced, given away or stored by an older version gets
new ones by itself. Losing them is harmless: they are not waited for until they are on disk.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import AuthError, StoreUnavailableError, ZepStoreError
from langchain_zepstore.messages.langchain import text_of
from langchain_zepstore.mongo.codecs import MAX_DOCUMENT_BYTES
from langchain_zepstore.mongo.documents import (
    Query,
    Update,
)
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.driver.errors import INDEX_CONFLICTS, UNAUTHORIZED
from langchain_zepstore.mongo.expressions import Expression, literal
from langchain_zepstore.mongo.indexes import (
    OLD_WORD_INDEXES,
    indexed_language,
    token_index,
    tokens_field,
    unindexed_index,
    word_indexes,
)
from langchain_zepstore.mongo.search.tokens import indexed_tokens

DEFAULT_LANGUAGE = "english"
INDEX_SECONDS = 1.0
"""The duration of a step of indexing in advance."""

BACKLOG_SECONDS = 2.0
"""The time that a search makes tokens for before it answers from the index as it is."""

_NOT_ALLOWED = (
    "a search by words needs indexes that these credentials may not list or create ({}); let an "
    "administrator search once, or grant listIndexes and createIndex"
)
_log = logging.getLogger(__name__)
_ATTEMPTS = 3
# Another was faster to drop it; or an index of that name is there with other options.
_CONFLICTS = {27, *INDEX_CONFLICTS}
PAGE_SIZE = 1000
_MAX_KEYS = 50_000  # that one command writes: the server's cache must hold them
_MAX_GUARD = 1024 * 1024  # bytes of a message that an update repeats to be sure of it
_HEADROOM = 1024  # for what stands beside the tokens
_ELEMENT = 12  # bytes of a token in an array, but for its letters
_SAID = {"session_id": 1, "content": 1, "size": {"$bsonSize": "$$ROOT"}}


def ensure_word_indexes(database: Database) -> Operation[str]:
    """Make sure once that the indexes are there, in the language asked for; return their language.

    Without a language asked for, the one that is there stays.
    """
    database = database.whole
    for attempts_left in reversed(range(_ATTEMPTS)):
        if database.search_language is not None:
            break
        try:
            database.search_language = yield from _ensured(database)
        except ZepStoreError as error:
            code = getattr(error.__cause__, "code", None)
            if code == UNAUTHORIZED:
                raise AuthError(_NOT_ALLOWED.format(error.__cause__)) from error.__cause__
            if code not in _CONFLICTS or not attempts_left:
                raise
    return database.search_language or DEFAULT_LANGUAGE


def language_of(database: Database) -> Operation[str]:
    """Return the language of a search without the indexes; it is that of the indexes."""
    if (database.whole.search_language or database.language) is None:
        language = language_in((yield from database.messages.index_information()))
        return language or DEFAULT_LANGUAGE
    return known_language(database)


def known_language(database: Database) -> str:
    """Return the language of the indexes as far as it is known without asking."""
    return database.whole.search_language or database.language or DEFAULT_LANGUAGE


def _ensured(database: Database) -> Operation[str]:
    messages = database.messages
    there = yield from messages.index_information()
    current = language_in(there)
    language = database.language or current or DEFAULT_LANGUAGE
    if not {token_index(language), unindexed_index(language)} <= there.keys():
        yield from database.indexes.create(messages, word_indexes(language))
    unused = {*OLD_WORD_INDEXES}
    if current not in (None, language):
        unused |= {token_index(current), unindexed_index(current)}
    for name in there.keys() & unused:
        yield from _drop(database, name)
    return language


def _drop(database: Database, name: str) -> Operation[None]:
    """Drop an index that is not used any more; without the right to, it stays."""
    try:
        yield from database.messages.drop_index(name)
    except ZepStoreError as error:
        code = getattr(error.__cause__, "code", None)
        if code not in {UNAUTHORIZED, *_CONFLICTS}:
            raise
        _log.warning("the index %s is not needed any more and stays: %s", name, error)


def language_in(indexes: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the language of the index for searching by words, ``None`` if there is none."""
    if language := indexed_language(indexes):
        return language
    for old in OLD_WORD_INDEXES:
        if index := indexes.get(old):
            return str(index.get("default_language") or index["key"][1][0].partition(".")[2])
    return None


def index_backlog(
    database: Database, language: str, query: Query, hint: str | None, seconds: float
) -> Operation[tuple[int, bool]]:
    """Give messages the tokens that they lack, for so long.

    Args:
        database: Where they are.
        language: Of the indexes.
        query: Which messages.
        hint: An index that serves the query; ``None``: that of messages without tokens.
        seconds: After these, no further step is begun.

    Returns:
        How many got tokens, and whether that was all.
    """
    until = time.monotonic() + seconds
    lacking = {**query, "deleted_at": None, tokens_field(language): None}
    hint = hint or unindexed_index(language)
    indexed, before = 0, None
    while True:
        found = yield from database.messages.find(
            lacking, fields=_SAID, limit=PAGE_SIZE, hint=hint, one_batch=True
        )
        if not found or found == before:  # those left are being replaced
            return indexed, not found
        before = found
        for updates in _commands(found, language):
            try:
                indexed += yield from database.messages.update_each(updates, durable=False)
            except (AuthError, StoreUnavailableError) as error:
                _log.warning("messages are searched without those said last: %s", error)
                return indexed, False
            if time.monotonic() > until:
                return indexed, False


class Backlog:
    """The messages without tokens that a search meets.

    Args:
        database: Where they are.
        language: Of the indexes.
        query: Which messages.
        hint: See ``index_backlog``.
    """

    def __init__(self, database: Database, language: str, query: Query, hint: str | None) -> None:
        self._asked = database, language, query, hint
        self._is_all: bool | None = None

    def index(self) -> Operation[bool]:
        """Give them tokens, once and as long as a search may wait; return whether all have some."""
        if self._is_all is None:
            _, self._is_all = yield from index_backlog(*self._asked, BACKLOG_SECONDS)
            if not self._is_all:
                _log.warning(
                    "a search answers from the messages indexed so far; the next goes on with it, "
                    "and client.memory.index(…) completes it"
                )
        return self._is_all


def _commands(
    messages: Sequence[Mapping[str, Any]], language: str
) -> Iterator[list[tuple[Query, Update]]]:
    """Yield the updates that give messages their tokens, so many as one command may hold."""
    updates: list[tuple[Query, Update]] = []
    keys = 0
    for message in messages:
        tokens = _fitting(indexed_tokens(text_of(message["content"]), language), message["size"])
        if updates and keys + len(tokens) > _MAX_KEYS:
            yield updates
            updates, keys = [], 0
        updates.append(({"_id": message["_id"]}, _setting(message, {language: tokens})))
        keys += len(tokens)
    if updates:
        yield updates


def _fitting(tokens: list[str], size: int) -> list[str]:
    need = sum(len(token.encode()) + _ELEMENT for token in tokens)
    return tokens if size + need < MAX_DOCUMENT_BYTES - _HEADROOM else [""]


def _setting(message: Mapping[str, Any], tokens: dict[str, list[str]]) -> Update:
    """Return the update that sets tokens if the message says what it said when it was read.

    In the update, since a query for more than the ``_id`` takes the server twice as long.
    """
    is_same: Expression = {"$eq": ["$content", literal(message["content"])]}
    if message["size"] >= _MAX_GUARD:
        is_same = {"$eq": [{"$bsonSize": "$$ROOT"}, message["size"]]}
    return [{"$set": {"tokens": {"$cond": [is_same, literal(tokens), "$tokens"]}}}]
