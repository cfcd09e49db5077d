"""A first session: add a turn, read it back, name it, delete it, undelete it. Run it again.

    python examples/quickstart.py

Without a URL the data lives in your data directory, in a MongoDB that the package starts. To use
another, set ZEPSTORE_URL, for example to mongodb://localhost. The database is the example's own.
"""

import os
import signal
import sys
from contextlib import suppress

signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # Ctrl-C is quiet, also during imports

from langchain_zepstore import (  # noqa: E402
    Memory,
    Message,
    NotFoundError,
    Session,
    ZepClient,
    ZepStoreError,
)

DATABASE = "zepstore_quickstart"
SESSION = "quickstart"
SHOWN = 8


def main() -> None:
    """Pay the session a visit."""
    print("Opening the chat store ...", flush=True)
    with ZepClient(database=DATABASE) as client:
        # Only an earlier run that was interrupted after its delete leaves something to undelete.
        with suppress(NotFoundError):
            client.memory.undelete_session(SESSION)

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
        show(client)

        # Metadata is merged: keys that are not mentioned here would stay as they are.
        metadata = {"title": "My first conversation", "visits": visit}
        client.memory.update_session(Session(session_id=SESSION, metadata=metadata))
        print("\nThe sessions:")
        for session in client.memory.list_sessions(limit=10):
            print(f"  {session.id}. {session.session_id}: {session.metadata}")

        client.memory.delete_memory(SESSION)
        print(f"\nDeleted: {client.message.count(SESSION)} messages visible.")
        client.memory.undelete_session(SESSION)
        print(f"Undeleted: {client.message.count(SESSION)} messages, all back.")

        print(f"\nThe data lives in {client.location}.")
        print("Run it again: the conversation continues.")


def show(client: ZepClient) -> None:
    """Print the end of the conversation."""
    total = client.message.count(SESSION)
    memory = client.memory.get_memory(SESSION, lastn=SHOWN)
    print(f"\nSession {SESSION!r}, {total} messages:")
    if total > len(memory.messages):
        print(f"  ... {total - len(memory.messages)} earlier ones")
    for message in memory.messages:
        print(f"  {message.created_at:%Y-%m-%d %H:%M:%S}  {message.role:>5}: {message.content}")


if __name__ == "__main__":
    try:
        main()
    except ZepStoreError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
