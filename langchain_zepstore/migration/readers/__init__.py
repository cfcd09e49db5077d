"""Readers: each yields the users and sessions of one source, which it only reads."""

from importlib import import_module
from inspect import signature

from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.migration.conversation import Reader

SOURCES = {
    "langchain-mongodb": ("mongodb", "LangChainMongoDB"),
    "langchain-postgres": ("sql", "LangChainPostgres"),
    "langchain-sql": ("sql", "LangChainSQL"),
    "community-redis": ("redis", "CommunityRedis"),
    "langgraph-mongodb": ("langgraph", "LangGraphMongoDB"),
    "langgraph-postgres": ("langgraph", "LangGraphPostgres"),
    "openai-agents-mongodb": ("openai_agents", "OpenAIAgentsMongoDB"),
    "openai-agents-sqlite": ("openai_agents", "OpenAIAgentsSQLite"),
    "zep": ("zep", "ZepServer"),
    "zep-dump": ("zep_dump", "ZepDump"),
}
"""The module and the class of each source."""


def reader_of(source: str, location: str, **options: str | None) -> Reader:
    """Return the reader of a source.

    Args:
        source: One of ``SOURCES``.
        location: Its URL or path.
        options: The options of its class; one that is ``None`` is not given.

    Raises:
        BadRequestError: There is no such source, or it has no such option.
    """
    if source not in SOURCES:
        raise BadRequestError(f"{source!r} is no source; there are {', '.join(SOURCES)}")
    module, name = SOURCES[source]
    reader = getattr(import_module(f"{__name__}.{module}"), name)
    given = {option: value for option, value in options.items() if value is not None}
    for option in given:
        if option not in signature(reader).parameters:
            raise BadRequestError(f"{source} has no option {option.replace('_', ' ')}")
    found: Reader = reader(location, **given)
    return found
