"""``ChatHistoryMiddleware``: what a process had stored when it was killed, and how it goes on."""

import os
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent

from langchain_zepstore import ZepClient
from langchain_zepstore.middleware import ChatHistoryMiddleware
from tests.support.agents import (
    FileSaver,
    Scripted,
    agent,
    calling,
    of,
    said,
    stored,
    weather,
)

pytestmark = pytest.mark.turns("mode")


@pytest.fixture(scope="module")
def forkserver() -> ForkServerContext:
    """Forks of a process that has imported all that they need."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def run_and_die(url: str, session_id: str, mode: Any, step: int, checkpoints: Path) -> None:
    """Kill this process after so many hooks of a run: LangGraph does not know what is stored."""
    steps_left = step

    def die_after(hook: str) -> None:
        original = getattr(ChatHistoryMiddleware, hook)

        def hooked(self: Any, state: Any, runtime: Any) -> Any:
            nonlocal steps_left
            update = original(self, state, runtime)
            steps_left -= 1
            if steps_left == 0:
                os.kill(os.getpid(), 9)
            return update

        setattr(ChatHistoryMiddleware, hook, hooked)

    for hook in ("before_agent", "before_model", "after_model", "after_agent"):
        die_after(hook)
    model = Scripted(calling(("a", "Rome"), text="Well").model_copy(update={"id": "call"}), "Sun!")
    middleware = [ChatHistoryMiddleware(client=ZepClient(url), mode=mode)]
    saver = FileSaver(checkpoints) if mode == "archive" else None
    killed = create_agent(model, [weather], middleware=middleware, checkpointer=saver)
    killed.invoke(said("Weather?"), durability="sync" if saver else None, **of(session_id))


# The hooks of this run: before_agent, before_model, after_model, before_model, after_model,
# after_agent.
WHOLE = [("human", "Weather?"), ("ai", "Well"), ("tool", "sun in Rome"), ("ai", "Sun!")]
KEPT = [0, 0, 2, 3, 4, 4]  # the input is stored when the model is called


@pytest.mark.promise("`kill -9` between hooks; replay")
@pytest.mark.parametrize("step", range(1, 7))
@pytest.mark.parametrize("mode", ["memory", "archive"])
async def test_a_process_killed_after_a_hook_has_stored_the_messages_before_it(
    client: ZepClient,
    mongo_url: str,
    session_id: str,
    mode: str,
    step: int,
    tmp_path: Path,
    forkserver: ForkServerContext,
) -> None:
    checkpoints = tmp_path / "checkpoints"
    of_run = (mongo_url, session_id, mode, step, checkpoints)
    process = forkserver.Process(target=run_and_die, args=of_run)
    process.start()
    process.join()
    assert process.exitcode == -9
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
