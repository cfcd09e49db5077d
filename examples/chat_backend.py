"""A chat's backend: streamed answers and a sidebar. Users see their own chats only.

    pip install ".[embedded,server]" && python examples/chat_backend.py

Its routes are described on http://127.0.0.1:8000/docs. In another terminal:

    curl -X POST -H "X-User: ada" localhost:8000/chats
    curl -N -H "X-User: ada" --json '{"content": "Hello"}' localhost:8000/chats/CHAT_ID/messages
    curl -H "X-User: ada" localhost:8000/chats

The database is the example's own. To use another MongoDB than the embedded one, set ZEPSTORE_URL.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated

import anyio
import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from pydantic import BaseModel, Field

from langchain_zepstore import (
    BadRequestError,
    MemorySearchResult,
    Message,
    NotFoundError,
    Session,
    SessionPage,
    StoreUnavailableError,
    ZepClient,
    ZepStoreError,
)

DATABASE = "zepstore_chat_backend"
WINDOW = 20  # messages that the model is given
STATUS = {NotFoundError: 404, BadRequestError: 400, StoreUnavailableError: 503}
model = FakeListChatModel(responses=["I am a fake model. Put yours here."])  # put yours here


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Share one client, with its connections, among all requests."""
    async with ZepClient(database=DATABASE) as client:
        app.state.client = client
        yield


app = FastAPI(title="A chat's backend", lifespan=lifespan)


def signed_in_user(x_user: Annotated[str, Header()] = "") -> str:
    """Return the id of the user who asks. Put your login here: anyone can send this header."""
    if not x_user:
        raise HTTPException(401, "the header X-User is missing")
    return x_user


def users_view(request: Request, user: Annotated[str, Depends(signed_in_user)]) -> ZepClient:
    """Return the client narrowed to that user: to it, the chats of others do not exist."""
    client: ZepClient = request.app.state.client
    return client.for_user(user)


View = Annotated[ZepClient, Depends(users_view)]


@app.exception_handler(ZepStoreError)
def error_response(_: Request, error: ZepStoreError) -> JSONResponse:
    """Answer with the status that fits the error."""
    return JSONResponse({"detail": str(error)}, STATUS.get(type(error), 500))


class Changes(BaseModel):
    """What to change of a chat; what is not given stays."""

    title: str | None = None
    pinned: bool = False
    archived: bool = False


class Question(BaseModel):
    """What the user says."""

    content: str = Field(min_length=1)


@app.post("/chats", status_code=201)
async def create_chat(view: View) -> Session:
    """Begin a chat. The store makes its id, which nobody can guess."""
    return await view.memory.aadd_session(Session())


@app.get("/chats")
async def sidebar(
    view: View, cursor: str | None = None, archived: bool = False, pinned: bool | None = None
) -> SessionPage:
    """List chats with their last messages, the last active first; or those in the archive."""
    return await view.memory.arecent_sessions(
        20, cursor, archived=archived, pinned=pinned, preview=True
    )


@app.get("/trash")
async def trash(view: View, cursor: str | None = None) -> SessionPage:
    """List deleted chats, the last deleted first."""
    return await view.memory.arecent_sessions(20, cursor, deleted=True)


@app.patch("/chats/{chat_id}")
async def change_chat(view: View, chat_id: str, changes: Changes) -> Session:
    """Rename, pin or archive a chat."""
    given = changes.model_dump(exclude_unset=True)
    return await view.memory.aorganize_session(chat_id, **given)


@app.delete("/chats/{chat_id}", status_code=204)
async def delete_chat(view: View, chat_id: str) -> None:
    """Put a chat into the trash."""
    await view.memory.adelete_memory(chat_id)


@app.post("/chats/{chat_id}/restore")
async def restore_chat(view: View, chat_id: str) -> Session:
    """Take a chat out of the trash, with its messages."""
    return await view.memory.aundelete_session(chat_id)


@app.get("/chats/{chat_id}/messages")
async def messages(view: View, chat_id: str, last: int = 100) -> list[Message]:
    """Show the end of a chat."""
    await view.memory.aget_session(chat_id)  # a 404 if there is none
    return (await view.memory.aget_memory(chat_id, last)).messages


@app.delete("/chats/{chat_id}/messages/{message_id}", status_code=204)
async def delete_message(view: View, chat_id: str, message_id: str) -> None:
    """Delete one message."""
    await view.message.adelete_message(chat_id, message_id)


@app.get("/search")
async def search(view: View, q: str) -> list[MemorySearchResult]:
    """Find messages in all chats of the user."""
    return await view.memory.asearch(q, limit=20)


@app.post("/chats/{chat_id}/messages")
async def ask(view: View, chat_id: str, question: Question) -> StreamingResponse:
    """Store a question and stream the answer. The first question becomes the title."""
    session = await view.memory.aget_session(chat_id)
    history = view.chat_history(chat_id, lastn=WINDOW, start_on="human")
    await history.aadd_messages([HumanMessage(question.content)])
    if session.title is None:
        await view.memory.aorganize_session(chat_id, title=question.content[:60])
    given = await history.aget_messages()

    async def answer() -> AsyncIterator[str]:
        said = ""
        try:
            async for chunk in model.astream(given):
                said += chunk.text
                yield chunk.text
        finally:
            # A reader who leaves cancels the request. What was said until then is stored; but not
            # in a chat that was deleted meanwhile: that would begin it anew.
            with anyio.CancelScope(shield=True), suppress(NotFoundError):
                await view.memory.aget_session(chat_id)
                if said:
                    await history.aadd_messages([AIMessage(said)])

    return StreamingResponse(answer(), media_type="text/plain")


if __name__ == "__main__":
    uvicorn.run(app)
