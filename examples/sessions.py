"""Sessions from their creation to the purge, with the names of Zep's documentation.

    python examples/sessions.py

The database is the example's own, and is purged at the end. To use another server than the embedded
one, set ZEPSTORE_URL.
"""

import asyncio
import sys
from uuid import uuid4

from langchain_zepstore import (
    CreateUserRequest,
    Memory,
    Message,
    NotFoundError,
    Session,
    ZepClient,
    ZepStoreError,
)

API_KEY = "ignored: MongoDB has credentials in its URL"
DATABASE = "zepstore_sessions"


async def main() -> None:
    """Walk through the life of some sessions."""
    print("Opening the chat store ...", flush=True)
    async with ZepClient(api_key=API_KEY, database=DATABASE) as client:
        session_id = uuid4().hex
        try:
            await live_and_die(client, session_id)
            list_and_filter(client, session_id)
            await see_a_sidebar(client)
        finally:
            await clean_up(client, session_id)


async def live_and_die(client: ZepClient, session_id: str) -> None:
    """Create, merge, read, delete and undelete a session."""
    print("\nA session")
    session = Session(session_id=session_id, metadata={"lang": "en", "ui": {"theme": "dark"}})
    session = await client.memory.aadd_session(session)
    print(f"  created:   {session.metadata}")

    # Maps are merged at every level; everything else is replaced.
    patch = {"title": "Trains", "ui": {"font": "large"}}
    await client.memory.aupdate_session(Session(session_id=session_id, metadata=patch))
    session = await client.memory.aget_session(session_id)
    print(f"  merged:    {session.metadata}")

    session = await client.memory.aupdate_session(
        Session(session_id=session_id), unset=[("lang",), ("ui", "theme")]
    )
    print(f"  unset:     {session.metadata}")

    turn = [
        Message(role="user", content="Which trains go to Kyoto?"),
        Message(role="assistant", content="The Hikari, at 9."),
    ]
    await client.memory.aadd_memory(session_id, Memory(messages=turn))
    print(f"  talked in: {await client.message.acount(session_id)} messages")

    await client.memory.adelete_memory(session_id)
    try:
        await client.memory.aget_session(session_id)
    except NotFoundError as error:
        print(f"  deleted:   {error}")
    print(f"             {await client.message.acount(session_id)} messages")

    # A new message revives the session alone. The old ones come back when undeleted, before it.
    again = Message(role="user", content="And back?")
    await client.memory.aadd_memory(session_id, Memory(messages=[again]))
    print(f"  revived:   {await client.message.acount(session_id)} message")
    await client.memory.aundelete_session(session_id)
    memory = await client.memory.aget_memory(session_id)
    print(f"  undeleted: {[message.content for message in memory.messages]}")


def list_and_filter(client: ZepClient, session_id: str) -> None:
    """List sessions, with synchronous calls on the same client; they block the event loop."""
    for number in range(1, 4):
        metadata = {"example": session_id, "number": number}
        client.memory.add_session(Session(session_id=f"{session_id}/{number}", metadata=metadata))

    sessions = client.memory.list_sessions(limit=10, cursor=0)
    print(f"\nA page of {len(sessions)} sessions, by id")
    for session in sessions:
        print(f"  {session.id}. {session.metadata}")

    total = 0
    for sessions in client.memory.list_all_sessions(chunk_size=100):
        total += len(sessions)
    print(f"All of them: {total}")

    found = client.memory.list_sessions(metadata={"example": session_id, "number": 2})
    print(f"Those with the number 2: {len(found)}")


async def see_a_sidebar(client: ZepClient) -> None:
    """Give a user sessions, and page through them, the most recently active first."""
    ada = f"ada/{uuid4().hex}"
    await client.user.aadd(CreateUserRequest(user_id=ada, first_name="Ada"))
    for title in ("Engines", "Numbers", "Poetry"):
        await client.memory.aadd_session(Session(user_id=ada, title=title))
    oldest = (await client.user.aget_sessions(ada))[0]
    question = Message(role="user", content="Can an engine compose music?")
    await client.memory.aadd_memory(oldest.session_id, Memory(messages=[question]))

    print("\nAda's sidebar, two sessions a page")
    cursor = None
    while True:
        page = await client.memory.arecent_sessions(limit=2, cursor=cursor, user_id=ada)
        print(f"  {[session.title for session in page.sessions]}")
        if (cursor := page.next_cursor) is None:
            break

    await client.user.adelete(ada)
    trash = await client.memory.alist_sessions(user_id=ada, include_deleted=True)
    print(f"Ada is deleted; of her sessions {len(trash)} are in the trash")


async def clean_up(client: ZepClient, session_id: str) -> None:
    """Delete what is left, and remove at once what the database would remove in 30 days."""
    for mine in (session_id, *(f"{session_id}/{number}" for number in range(1, 4))):
        try:
            await client.memory.adelete_memory(mine)
        except NotFoundError:
            continue  # it did not get so far
    print(f"\nPurged: {await client.apurge()}")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except ZepStoreError as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
