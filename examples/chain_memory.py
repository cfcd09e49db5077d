"""A chain with memory: every turn is stored, and read back before the next one. No API key needed.

    python examples/chain_memory.py

Run it again: the chain remembers the conversation. To use another database than the embedded one,
set ZEPSTORE_URL. The database is the example's own.
"""

import sys
import warnings

# Not FakeMessagesListChatModel: it gives the same message, with the same id, more than once, and a
# message stored again under its id replaces the first.
from langchain_core.language_models import FakeListChatModel
from langchain_core.prompt_values import PromptValue
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.history import RunnableWithMessageHistory

from langchain_zepstore import ZepClient, ZepStoreError

# langchain-core recommends LangGraph's persistence since 1.3.3. The class works, until 2.0.
warnings.filterwarnings("ignore", message="RunnableWithMessageHistory is deprecated")

DATABASE = "zepstore_chain"
SESSION = "chain-memory"
TURNS = {
    "My name is Ada.": "Nice to meet you, Ada.",
    "I work on engines.": "Analytical ones, I suppose?",
    "What is my name?": "You said that it is Ada.",
}


def main() -> None:
    """Talk to a chain, then print the stored messages."""
    prompt = ChatPromptTemplate.from_messages(
        [
            ("system", "You are a helpful assistant."),
            MessagesPlaceholder("history"),
            ("human", "{question}"),
        ]
    )
    model = FakeListChatModel(responses=list(TURNS.values()))  # put yours here

    with ZepClient(database=DATABASE) as client:
        chain = RunnableWithMessageHistory(
            prompt | show_size | model,
            client.chat_history,
            input_messages_key="question",
            history_messages_key="history",
        )
        config: RunnableConfig = {"configurable": {"session_id": SESSION}}
        for question in TURNS:
            print(f"human: {question}")
            answer = chain.invoke({"question": question}, config)
            print(f"   ai: {answer.content}")

        stored = client.chat_history(SESSION).messages
        print(f"\n{len(stored)} messages are stored in session {SESSION!r}; the last two:")
        for message in stored[-2:]:
            print(f"  {message!r}")


def show_size(prompt: PromptValue) -> PromptValue:
    """Print how many messages the model is given."""
    print(f"       (the model is given {len(prompt.to_messages())} messages)")
    return prompt


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except ZepStoreError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
