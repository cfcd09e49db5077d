"""A server with Zep's REST interface, and three kinds of clients.

    pip install ".[embedded,server]" && python examples/server_and_clients.py

It runs ``zepstore serve`` on a free port. The database is the example's own, and is purged at the
end. To use another MongoDB than the embedded one, set ZEPSTORE_URL.
"""

import asyncio
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables.history import RunnableWithMessageHistory

import langchain_zepstore as zep

# langchain-core recommends LangGraph's persistence since 1.3.3. The class works, until 2.0.
warnings.filterwarnings("ignore", message="RunnableWithMessageHistory is deprecated")
SERVE = [sys.executable, "-m", "langchain_zepstore.cli", "serve", "--database", "zepstore_served"]


@contextmanager
def server() -> Iterator[str]:
    """Run ``zepstore serve`` and yield its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile("w+") as log, httpx.Client(base_url=url) as http:
        # In a group of its own: Ctrl-C ends this program, and this program ends the server.
        command = [*SERVE, "--port", str(port)]
        # Ctrl-C while it is being started comes after that: else nobody would end it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        process = subprocess.Popen(command, stderr=log, process_group=0)  # noqa: S603
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            while True:
                time.sleep(0.05)
                if process.poll() is not None:
                    sys.exit(f"error: {log.seek(0) or log.read().strip()}")
                with suppress(httpx.TransportError):
                    http.get("/healthz")
                    break
            yield url
        finally:
            process.terminate()  # it finishes what is in flight
            process.wait()


def as_any_language(url: str) -> None:
    """Speak plain HTTP: what curl sends, or a program in any language."""
    print("Any language, over HTTP")
    sessions = f"{url}/api/v1/sessions"
    httpx.post(sessions, json={"session_id": "travel", "user_id": "ada"}).raise_for_status()
    question = {"uuid": "question-1", "role": "user", "content": "Which trains go to Kyoto?"}
    for _ in range(2):  # the second time is a retry: nothing is doubled
        httpx.post(f"{sessions}/travel/memory", json={"messages": [question]}).raise_for_status()
    print(f"  {httpx.get(f'{sessions}/travel/memory?lastn=2').json()['messages'][-1]['content']}")


def as_a_chain(client: zep.ZepClient) -> None:
    """Give a chain a chat history: the same code as on MongoDB."""
    prompt = ChatPromptTemplate.from_messages([("placeholder", "{history}"), ("human", "{asked}")])
    model = FakeListChatModel(responses=["The Hikari, at 9."])  # put yours here
    chain = RunnableWithMessageHistory(
        prompt | model,
        client.chat_history,
        input_messages_key="asked",
        history_messages_key="history",
    )
    chain.invoke({"asked": "The first?"}, {"configurable": {"session_id": "travel"}})
    print(f"  the history: {[m.type for m in client.chat_history('travel').messages]}")


async def as_an_application(client: zep.ZepClient) -> None:
    """See a sidebar, search, delete and undelete, walk through a long history."""
    await client.memory.aadd_session(zep.Session(session_id="poems", user_id="ada"))
    page = await client.memory.arecent_sessions(user_id="ada")
    print(f"  sidebar:   {[session.session_id for session in page.sessions]}")
    found = await client.memory.asearch("trains", user_id="ada")
    print(f"  found:     {[result.message.content for result in found if result.message]}")
    await client.memory.adelete_memory("travel")
    print(f"  deleted:   {await client.message.acount('travel')} messages")
    await client.memory.aundelete_session("travel")
    print(f"  undeleted: {await client.message.acount('travel')} messages")
    lines = [zep.Message(role="user", content=f"line {number}") for number in range(3000)]
    await client.memory.aadd_memory("poems", zep.Memory(messages=lines))
    walked = [message.uuid async for message in client.message.aiter_messages("poems")]
    print(f"  walked through {len(walked):,} messages, page by page")


def main() -> None:
    """Start a server and talk to it."""
    print("Starting a server ...", flush=True)
    with server() as url, zep.ZepClient(url, timeout=30) as client:
        print(f"It listens on {url}; its routes are described on {url}/docs\n")
        with suppress(zep.AlreadyExistsError):  # a run that was killed has left her
            client.user.add(zep.CreateUserRequest(user_id="ada", first_name="Ada"))
        try:
            as_any_language(url)
            as_a_chain(client)
            asyncio.run(as_an_application(client))
        finally:
            client.user.delete("ada")  # her sessions go too
            print(f"\nPurged: {client.purge()}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except (zep.ZepStoreError, httpx.HTTPError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
