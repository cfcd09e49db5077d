"""The index of tokens: its language, and giving messages the tokens that they lack.

Adding a message does not make its tokens; a search makes those of what it has not met yet. So who
never searches pays nothing, and what was replaced, given away or stored by an older version gets
new ones by itself. Losing them is harmless: they are not waited for until they are on disk.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.results import IndexPage
from langchain_zepstore.errors import AuthError, StoreUnavailableError, ZepStoreError
from langchain_zepstore.messages.langchain import text_of
from langchain_zepstore.mongo.codecs import MAX_DOCUMENT_BYTES
from langchain_zepstore.mongo.documents import (
    Query,
    Update,
)
from langchain_zepstore.mongo.driver.collection import Hint
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.driver.errors import UNAUTHORIZED
from langchain_zepstore.mongo.indexes import OLD_WORD_INDEX, WORD_INDEX, word_index
from langchain_zepstore.mongo.search.tokens import indexed_tokens

DEFAULT_LANGUAGE = "english"
INDEX_SECONDS = 1.0
"""How long a step of indexing in advance takes."""

BACKLOG_SECONDS = 2.0
"""How long a search makes tokens before it answers from what is there."""

_log = logging.getLogger(__name__)
_ATTEMPTS = 3
# Another was faster to drop it; or an index of that name is there with other options.
_CONFLICTS = {27, 85, 86}
PAGE_SIZE = 1000
_MAX_KEYS = 50_000  # that one command writes: the server's cache must hold them
_MAX_GUARD = 1024 * 1024  # bytes of a message that an update repeats to be sure of it
_HEADROOM = 1024  # for what stands beside the tokens
_ELEMENT = 12  # bytes of a token in an array, but for its letters
_SAID = {"session_id": 1, "content": 1, "size": {"$bsonSize": "$$ROOT"}}


def tokens_field(language: str) -> str:
    """Return the path of the tokens of a language in a message."""
    return f"tokens.{language}"


def index_hint(language: str) -> Query:
    """Return the key of the index: a hint that fails once it is of another language."""
    return {"scope": 1, tokens_field(language): 1}


def ensure_word_index(database: Database) -> Operation[str]:
    """Make sure once that the index is there, in the language asked for; return its language.

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
            if code not in _CONFLICTS or not attempts_left:
                raise
    return database.search_language or DEFAULT_LANGUAGE


def language_of(database: Database) -> Operation[str]:
    """Return the language of what is searched without the index; it is that of the index."""
    if (database.whole.search_language or database.language) is None:
        language = language_in((yield from database.messages.index_information()))
        return language or DEFAULT_LANGUAGE
    return known_language(database)


def known_language(database: Database) -> str:
    """Return the language of the index as far as it is known without asking."""
    return database.whole.search_language or database.language or DEFAULT_LANGUAGE


def _ensured(database: Database) -> Operation[str]:
    messages = database.messages
    there = yield from messages.index_information()
    current = language_in(there)
    language = database.language or current or DEFAULT_LANGUAGE
    if WORD_INDEX not in there or language != current:
        if WORD_INDEX in there:
            yield from messages.drop_index(WORD_INDEX)
        yield from messages.create_indexes([word_index(language)])
    if OLD_WORD_INDEX in there:
        yield from _drop_text_index(database)
    return language


def _drop_text_index(database: Database) -> Operation[None]:
    """Drop the index of versions before 0.3; without the right to, it stays."""
    try:
        yield from database.messages.drop_index(OLD_WORD_INDEX)
    except ZepStoreError as error:
        code = getattr(error.__cause__, "code", None)
        if code not in {UNAUTHORIZED, *_CONFLICTS}:
            raise
        _log.warning("the index %s is not needed any more and stays: %s", OLD_WORD_INDEX, error)


def language_in(indexes: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Return the language of the index for searching by words, ``None`` if there is none."""
    if WORD_INDEX in indexes:
        return str(indexes[WORD_INDEX]["key"][1][0]).partition(".")[2]
    language = indexes.get(OLD_WORD_INDEX, {}).get("default_language")
    return None if language is None else str(language)


def index_backlog(
    database: Database,
    language: str,
    query: Query,
    hint: Hint,
    seconds: float,
) -> Operation[tuple[int, bool]]:
    """Give messages the tokens that they lack, for so long.

    Args:
        database: Where they are.
        language: Of the index.
        query: Which messages.
        hint: An index that serves the query.
        seconds: After these, no further step is begun.

    Returns:
        How many got tokens, and whether that was all.
    """
    until = time.monotonic() + seconds
    lacking = {**query, "deleted_at": None, tokens_field(language): None}
    indexed = 0
    while True:
        found = yield from database.messages.find(
            lacking, fields=_SAID, limit=PAGE_SIZE, hint=hint, one_batch=True
        )
        before = indexed
        for updates in _commands(found, language):
            if indexed and time.monotonic() > until:
                return indexed, False
            try:
                indexed += yield from database.messages.update_each(updates, durable=False)
            except (AuthError, StoreUnavailableError) as error:
                _log.warning("messages are searched without those said last: %s", error)
                return indexed, False
        if not found or indexed == before:  # those left are being replaced
            return indexed, not found


def index_for_search(
    database: Database, language: str, query: Query, hint: Hint
) -> Operation[None]:
    """Give messages the tokens that they lack, as long as a search may wait for it."""
    _, is_all = yield from index_backlog(database, language, query, hint, BACKLOG_SECONDS)
    if not is_all:
        _log.warning(
            "a search answers from the messages indexed so far; the next goes on with it, and "
            "client.memory.index(…) completes it"
        )


def index_all(database: Database, after: str | None) -> Operation[IndexPage]:
    """Give messages of all owners the tokens that they lack, for about a second.

    Args:
        database: Where they are.
        after: The cursor of the step: the last owner whose messages all have theirs.
    """
    language = yield from ensure_word_index(database)
    hint = index_hint(language)
    until = time.monotonic() + INDEX_SECONDS
    after, indexed = after or "", 0
    while True:
        query = {"scope": {"$gt": after}, "deleted_at": None}
        found = yield from database.messages.find(
            query, sort={"scope": 1}, limit=1, fields={"scope": 1}, hint=hint
        )
        if not found:
            return IndexPage(indexed, None)
        owner = found[0]["scope"]
        seconds = until - time.monotonic()
        more, is_all = yield from index_backlog(database, language, {"scope": owner}, hint, seconds)
        indexed += more
        after = owner if is_all else after
        if not is_all or time.monotonic() > until:
            return IndexPage(indexed, after)


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
        updates.append((_unchanged(message), {"$set": {"tokens": {language: tokens}}}))
        keys += len(tokens)
    if updates:
        yield updates


def _fitting(tokens: list[str], size: int) -> list[str]:
    need = sum(len(token.encode()) + _ELEMENT for token in tokens)
    return tokens if size + need < MAX_DOCUMENT_BYTES - _HEADROOM else [""]


def _unchanged(message: Mapping[str, Any]) -> Query:
    """Return the query for a message that says what it said when it was read."""
    this: Query = {"_id": message["_id"], "session_id": message["session_id"]}
    if message["size"] < _MAX_GUARD:
        return {**this, "content": message["content"]}
    return {**this, "$expr": {"$eq": [{"$bsonSize": "$$ROOT"}, message["size"]]}}
