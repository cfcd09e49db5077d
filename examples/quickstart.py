"""A first session: add a turn, read the conversation back. Run it again, and it goes on.

    python examples/quickstart.py

Without a URL the data lives in your data directory, in a MongoDB that the package starts by itself.
To use another, set ZEPSTORE_URL, to mongodb://localhost for one.
"""

import os
import signal
import sys

# From here on Ctrl-C ends the program at once. There is nothing to tidy up: what was acknowledged
# is on disk, and the embedded server leaves by itself when nobody uses it.
signal.signal(signal.SIGINT, lambda *_: os._exit(130))
print("Opening the chat store ...", flush=True)

from platformdirs import user_data_path  # noqa: E402 - imports take a second; Ctrl-C may come then

from langchain_zepstore import Memory, Message, ZepClient, ZepStoreError  # noqa: E402

SESSION = "quickstart"
SHOWN = 8


def main() -> None:
    """Pay the session a visit."""
    with ZepClient() as client:
        visit = client.message.count(SESSION) // 2 + 1
        if visit == 1:
            answer = "Nice to meet you. Run me again, and I will remember this."
        else:
            answer = f"Welcome back. I remember {visit - 1} earlier visit(s)."

        # One call, one turn: both messages are stored, next to each other, or the call raises.
        turn = [
            Message(role="human", content=f"Hello, this is visit {visit}."),
            Message(role="ai", content=answer),
        ]
        client.memory.add_memory(SESSION, Memory(messages=turn))

        total = client.message.count(SESSION)
        memory = client.memory.get_memory(SESSION, lastn=SHOWN)
        print(f"\nSession {SESSION!r}, {total} messages:")
        if total > len(memory.messages):
            print(f"  ... {total - len(memory.messages)} earlier ones")
        for message in memory.messages:
            print(f"  {message.created_at:%Y-%m-%d %H:%M:%S}  {message.role:>5}: {message.content}")

        print(f"\nThe data lives in {place(client)}.")
        print("Run this again: it finds what it left, and goes on.")


def place(client: ZepClient) -> str:
    """Say where a client's data lives."""
    if client.url == "embedded:":
        directory = user_data_path("zepstore", appauthor=False)
        return f"{directory}, kept by a MongoDB of its own"
    return f"the store of {client!r}"  # which shows the URL, without credentials


if __name__ == "__main__":
    try:
        main()
    except ZepStoreError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
