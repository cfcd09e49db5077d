"""langchain-community's classes for Zep against a server: ``community.py URL KEY``."""

import sys
import uuid
import warnings
from typing import Any

import langchain_classic.memory
import langchain_classic.retrievers
from checking import IDS, main, once, raises
from langchain_community.chat_message_histories import ZepChatMessageHistory
from langchain_community.chat_message_histories.zep import SearchType
from langchain_community.memory.zep_memory import ZepMemory
from langchain_community.retrievers import ZepRetriever
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables.history import RunnableWithMessageHistory
from zep_python import APIError, Message
from zep_python.exceptions import AuthError

URL, KEY = sys.argv[1:]
MESSAGES = [
    HumanMessage("The Hikari to Kyoto leaves at nine."),
    AIMessage("What about food?"),
    HumanMessage("Kyoto Kyoto Kyoto!"),
    AIMessage("Bento, on the platform."),
]


def new_id() -> str:
    return f"session {uuid.uuid4()}"


def history_of(session_id: str) -> ZepChatMessageHistory:
    return ZepChatMessageHistory(session_id, url=URL, api_key=KEY)


def shown(messages: list[Any]) -> list[tuple[str, str]]:
    return [(message.type, message.content) for message in messages]


@once
async def constructing_zep_integrations_gives_no_warning() -> None:
    session_id = new_id()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history_of(session_id)
        ZepRetriever(session_id=session_id, url=URL, api_key=KEY, top_k=3)
    assert not [str(warning.message) for warning in caught if "Zep" in str(warning.message)]


@once
async def the_history_stores_and_clears() -> None:
    for session_id in [new_id(), *(f"{text} {uuid.uuid4()}" for text in IDS[1::3])]:
        history = history_of(session_id)
        assert history.messages == history.zep_messages == []
        assert history.zep_summary == ""
        history.add_user_message("Hello! 🚆", metadata={"a": [1]})
        history.add_ai_message("Hello, Ada.", metadata={"b": {"c": None}})
        history.add_message(SystemMessage("Be kind."))
        history.add_messages(
            [HumanMessage("Four."), AIMessage("Five.", additional_kwargs={"metadata": {"n": 5}})]
        )
        again = history_of(session_id)
        assert shown(again.messages) == [
            ("human", "Hello! 🚆"),
            ("ai", "Hello, Ada."),
            ("human", "Be kind."),  # LangChain's class reads all others as a human's
            ("human", "Four."),
            ("ai", "Five."),
        ]
        roles = ["human", "ai", "system", "human", "ai"]
        assert [message.role for message in again.zep_messages] == roles
        metadata = [message.additional_kwargs["metadata"] for message in again.messages]
        assert metadata == [{"a": [1]}, {"b": {"c": None}}, None, None, {"n": 5}]
        for message, kept in zip(again.messages, again.zep_messages, strict=True):
            assert isinstance(kept, Message)
            assert message.additional_kwargs == {
                "uuid": kept.uuid,
                "created_at": kept.created_at,
                "token_count": kept.token_count,
                "metadata": kept.metadata,
            }
            assert kept.uuid
            assert kept.created_at
        again.clear()
        assert history.messages == []


@once
async def the_history_stores_and_clears_asynchronously() -> None:
    session_id = new_id()
    history = history_of(session_id)
    await history.aadd_messages([HumanMessage("One. 🚆"), AIMessage("Two.")])
    await history.aadd_messages([HumanMessage("Three.")])
    messages = await history_of(session_id).aget_messages()
    assert shown(messages) == [("human", "One. 🚆"), ("ai", "Two."), ("human", "Three.")]
    await history.aclear()
    assert await history.aget_messages() == []


@once
async def clearing_twice_shows_langchains_own_bug() -> None:
    history = history_of(new_id())
    history.add_user_message("One.")
    history.clear()
    # The server's 404 becomes NotFoundError, which the module imports for type checkers alone.
    with raises(NameError):
        history.clear()
    with raises(NameError):
        await history.aclear()


@once
async def a_history_without_the_key_is_refused() -> None:
    for key in (None, "wrong"):
        history = ZepChatMessageHistory("written by the package", url=URL, api_key=key)
        with raises(AuthError, 401):
            history.add_user_message("I am an intruder.")
        with raises(AuthError, 401):
            _ = history.messages


@once
async def a_chain_remembers_its_turns() -> None:
    prompt = ChatPromptTemplate.from_messages(
        [MessagesPlaceholder("history"), ("human", "{question}")]
    )
    model = FakeListChatModel(responses=["Hello, Ada.", "It is Ada."])
    chain = RunnableWithMessageHistory(
        prompt | model,
        history_of,
        input_messages_key="question",
        history_messages_key="history",
    )
    session_id = new_id()
    config: Any = {"configurable": {"session_id": session_id}}
    assert chain.invoke({"question": "I am Ada."}, config).content == "Hello, Ada."
    assert (await chain.ainvoke({"question": "My name?"}, config)).content == "It is Ada."
    assert shown(history_of(session_id).messages) == [
        ("human", "I am Ada."),
        ("ai", "Hello, Ada."),
        ("human", "My name?"),
        ("ai", "It is Ada."),
    ]


@once
async def the_memory_saves_loads_and_clears() -> None:
    assert langchain_classic.memory.ZepMemory is ZepMemory
    for session_id in (new_id(), f"Grüße aus Köln 🚆 {uuid.uuid4()}"):
        memory = ZepMemory(session_id=session_id, url=URL, api_key=KEY, memory_key="so_far")
        assert memory.load_memory_variables({}) == {"so_far": ""}
        memory.save_context({"input": "Hello!"}, {"output": "Hello, Ada."}, metadata={"n": 1})
        memory.save_context({"input": "Who am I?"}, {"output": "Ada."})
        text = "Human: Hello!\nAI: Hello, Ada.\nHuman: Who am I?\nAI: Ada."
        assert memory.load_memory_variables({}) == {"so_far": text}
        again = ZepMemory(session_id=session_id, url=URL, api_key=KEY, return_messages=True)
        messages = (await again.aload_memory_variables({}))["history"]
        assert shown(messages) == [
            ("human", "Hello!"),
            ("ai", "Hello, Ada."),
            ("human", "Who am I?"),
            ("ai", "Ada."),
        ]
        metadata = [message.additional_kwargs["metadata"] for message in messages]
        assert metadata == [{"n": 1}, {"n": 1}, None, None]
        again.clear()
        assert memory.load_memory_variables({}) == {"so_far": ""}


@once
async def the_memory_saves_loads_and_clears_asynchronously() -> None:
    memory = ZepMemory(session_id=new_id(), url=URL, api_key=KEY)
    await memory.asave_context({"input": "Hello!"}, {"output": "Hello, Ada."})
    assert await memory.aload_memory_variables({}) == {"history": "Human: Hello!\nAI: Hello, Ada."}
    await memory.aclear()
    assert await memory.aload_memory_variables({}) == {"history": ""}


@once
async def a_history_search_finds_words() -> None:
    for session_id in (new_id(), f"Grüße aus Köln 🚆 {uuid.uuid4()}"):
        history = history_of(session_id)
        history.add_messages(MESSAGES)
        found = history.search("kyoto")
        assert [result.message["content"] for result in found] == [
            MESSAGES[2].content,
            MESSAGES[0].content,
        ]
        assert history.search("kyoto", limit=1) == found[:1]
        assert history.search("kyoto", {"end_date": "2020-01-01T00:00:00Z"}) == []
        assert history.search("Osaka", search_type=SearchType.similarity) == []


@once
async def a_retriever_finds_words() -> None:
    assert langchain_classic.retrievers.ZepRetriever is ZepRetriever
    for session_id in (new_id(), f"Grüße aus Köln 🚆 {uuid.uuid4()}"):
        history = history_of(session_id)
        history.add_messages(MESSAGES)
        history_of(new_id()).add_messages([HumanMessage("Kyoto in another session.")])
        retriever = ZepRetriever(session_id=session_id, url=URL, api_key=KEY, top_k=3)
        documents = retriever.invoke("kyoto")
        assert [document.page_content for document in documents] == [
            MESSAGES[2].content,
            MESSAGES[0].content,
        ]
        assert documents[0].metadata["score"] > documents[1].metadata["score"] > 0
        kept = history.zep_messages[2]
        for name in ("uuid", "created_at", "role", "token_count"):
            assert documents[0].metadata[name] == getattr(kept, name)
        assert await retriever.ainvoke("kyoto") == documents
        assert retriever.invoke("Osaka") == []
        one = ZepRetriever(session_id=session_id, url=URL, api_key=KEY, top_k=1)
        assert await one.ainvoke("kyoto") == documents[:1]
        over = {"end_date": "2020-01-01T00:00:00Z"}
        assert retriever.invoke("kyoto", metadata=over) == []


@once
async def a_retriever_on_an_unknown_session_finds_nothing() -> None:
    retriever = ZepRetriever(session_id=new_id(), url=URL, api_key=KEY, top_k=3)
    assert retriever.invoke("kyoto") == []
    assert await retriever.ainvoke("kyoto") == []


@once
async def a_retriever_that_needs_embeddings_is_refused() -> None:
    session_id = new_id()
    history_of(session_id).add_messages(MESSAGES)
    retriever = ZepRetriever(
        session_id=session_id, url=URL, api_key=KEY, top_k=3, search_type="mmr"
    )
    with raises(APIError, 400):
        retriever.invoke("kyoto")


@once
async def messages_written_by_the_package_are_read() -> None:
    history = history_of("written by the package")
    assert shown(history.messages) == [("human", "Grüße! 🚆"), ("ai", "Hello, Ada.")]


@once
async def a_conversation_is_written_for_the_package() -> None:
    history = history_of("left by a client")
    history.add_user_message("Left by a client. Ü 🚆", metadata={"a": [1]})
    history.add_ai_message("Seen.")


if __name__ == "__main__":
    main(lambda _: None)
