"""``ChatHistoryMiddleware``: what a process had stored when it was killed, and how it goes on."""

import asyncio
import sys
from pathlib import Path

import pytest

from langchain_zepstore import ZepClient
from tests.support.agents import (
    FileSaver,
    Scripted,
    agent,
    calling,
    of,
    said,
    stored,
)

REPOSITORY = Path(__file__).parents[3]


KILLED = """
import os, sys
from pathlib import Path
from langchain.agents import create_agent
from langchain_zepstore import ZepClient
from langchain_zepstore.middleware import ChatHistoryMiddleware
from tests.support.agents import FileSaver, Scripted, calling, of, said, weather

url, session_id, mode, step, path = sys.argv[1:]
step = int(step)

def dying(hook):
    original = getattr(ChatHistoryMiddleware, hook)
    def hooked(self, state, runtime):
        global step
        update = original(self, state, runtime)
        step -= 1
        if step == 0:
            os.kill(os.getpid(), 9)  # stored, but LangGraph does not know it
        return update
    setattr(ChatHistoryMiddleware, hook, hooked)

for hook in ("before_agent", "before_model", "after_model", "after_agent"):
    dying(hook)

model = Scripted(calling(("a", "Rome"), text="Well").model_copy(update={"id": "call"}), "Sun!")
middleware = [ChatHistoryMiddleware(client=ZepClient(url), mode=mode)]
saver = FileSaver(Path(path)) if mode == "archive" else None
agent = create_agent(model, [weather], middleware=middleware, checkpointer=saver)
agent.invoke(said("Weather?"), durability="sync" if saver else None, **of(session_id))
"""


# The hooks of this run: before_agent, before_model, after_model, before_model, after_model,
# after_agent.
WHOLE = [("human", "Weather?"), ("ai", "Well"), ("tool", "sun in Rome"), ("ai", "Sun!")]
KEPT = [0, 0, 2, 3, 4, 4]  # the input is stored when the model is called


@pytest.mark.promise("`kill -9` between hooks; replay")
@pytest.mark.parametrize("step", range(1, 7))
@pytest.mark.parametrize("mode", ["memory", "archive"])
async def test_a_process_killed_after_a_hook_has_stored_what_was_said_until_then(
    client: ZepClient, mongo_url: str, session_id: str, mode: str, step: int, tmp_path: Path
) -> None:
    checkpoints = tmp_path / "checkpoints"
    command = [sys.executable, "-c", KILLED, mongo_url, session_id, mode, str(step), checkpoints]
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=REPOSITORY, stderr=asyncio.subprocess.PIPE
    )
    _, complaint = await process.communicate()
    assert process.returncode == -9, complaint
    kept = WHOLE[: KEPT[step - 1]]
    assert await stored(client, session_id) == kept

    if mode == "memory":
        speaker = agent(client, Scripted("Sorry"), mode)
        speaker.invoke(said("Again?"), **of(session_id))
        assert await stored(client, session_id) == [*kept, ("human", "Again?"), ("ai", "Sorry")]
        return
    script = [calling(("a", "Rome"), text="Well"), "Sun!"]
    rest = script if step <= 2 else script[1:]
    agent(client, Scripted(*rest), mode, FileSaver(checkpoints)).invoke(None, **of(session_id))
    assert await stored(client, session_id) == WHOLE
