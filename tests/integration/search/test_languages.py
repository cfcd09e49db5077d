"""The language in which messages are searched: the database's, unless one is asked for."""

import pytest
from pymongo import MongoClient

from langchain_zepstore import BadRequestError, ZepClient
from langchain_zepstore.mongo.indexes import indexed_language
from tests.support.messages import said


def found(client: ZepClient, text: str) -> list[str]:
    return [result.message.content for result in client.memory.search(text, session_id="s")]


@pytest.mark.promise("languages")
def test_words_are_stemmed_in_the_configured_language(mongo_url, database_name) -> None:
    def opened(language: str | None = None) -> ZepClient:
        return ZepClient(mongo_url, database=database_name, language=language)

    def language() -> str | None:
        with MongoClient(mongo_url) as raw:
            return indexed_language(raw[database_name].messages.index_information())

    with opened() as client:
        client.memory.add_memory("s", said("zwei grüne Häuser", "two green houses"))
        assert found(client, "housing") == ["two green houses"]
        assert language() == "english"
        assert found(client, "Häusern") == []
    with opened("german") as client:
        assert found(client, "Häusern") == ["zwei grüne Häuser"]
        assert language() == "german"
    with opened() as client:
        assert found(client, "Häusern") == ["zwei grüne Häuser"]
        assert language() == "german"
    with opened("none") as client:
        assert found(client, "housing") == []
        assert found(client, "houses") == ["two green houses"]


@pytest.mark.promise("languages")
def test_searches_keep_working_when_the_language_changes(mongo_url, database_name) -> None:
    with (
        ZepClient(mongo_url, database=database_name) as first,
        ZepClient(mongo_url, database=database_name, language="french") as second,
    ):
        first.memory.add_memory("s", said("les chevaux"))
        assert found(first, "chevaux") == ["les chevaux"]
        assert found(second, "cheval") == ["les chevaux"]
        assert found(first, "chevaux") == ["les chevaux"]


@pytest.mark.parametrize("wrong", ["klingon", "", "English", 5, {"$ne": ""}])
def test_an_unknown_language_is_refused(mongo_url, wrong) -> None:
    with pytest.raises(BadRequestError, match="language"):
        ZepClient(mongo_url, language=wrong)
