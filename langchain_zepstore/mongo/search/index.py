"""The language of the index for searching by words."""

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import ZepStoreError
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.indexes import SEARCH_INDEX, search_index

DEFAULT_LANGUAGE = "english"
_ATTEMPTS = 3
# Another was faster to drop it; or an index of that name, or one for words, is there with other
# options.
_CONFLICTS = {27, 85, 86}


def ensure_search_index(database: Database) -> Operation[str]:
    """Make sure once that the index is there, in the language asked for; return its language.

    Without a language asked for, the one that is there stays.
    """
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
    language = database.search_language or database.language
    if language is None:
        there = (yield from database.messages.index_information()).get(SEARCH_INDEX, {})
        language = str(there.get("default_language", DEFAULT_LANGUAGE))
    return language


def _ensured(database: Database) -> Operation[str]:
    there = (yield from database.messages.index_information()).get(SEARCH_INDEX)
    wanted = database.language
    if there is not None:
        language = str(there.get("default_language", DEFAULT_LANGUAGE))
        if wanted in (None, language):
            return language
        yield from database.messages.drop_index(SEARCH_INDEX)
    language = wanted or DEFAULT_LANGUAGE
    yield from database.messages.create_indexes([search_index(language)])
    return language
