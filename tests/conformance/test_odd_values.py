"""At LangChain's door nothing that was said is lost for its form."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pydantic import BaseModel

from langchain_zepstore import Memory, Message, Session
from tests.support.facade import Facade

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)


class Mood(Enum):
    CALM = "calm"


class Point(BaseModel):
    x: int
    y: tuple[int, ...] = ()


@dataclass
class Parcel:
    weight: Decimal


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("no words")


def circle() -> dict[str, Any]:
    value: dict[str, Any] = {"name": "ring"}
    value["self"] = [value]
    return value


def deep(levels: int) -> Any:
    return [deep(levels - 1)] if levels else "bottom"


def deep_list(levels: int) -> Any:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


EXACT: dict[str, Any] = {
    "bytes": b"\0\xff",
    "infinities": [math.inf, -math.inf],
    "a moment in another zone": datetime.fromisoformat("2026-07-01T14:00:00+02:00"),
    "long ints": [10**20, -(10**30), 2**63],
    "a key with NUL": {"a\0b": {"c\0": 1}},
    "keys that look like marks": [{"$int": "5"}, {"$entries": []}, {"$bytes": "AA=="}, {"$ref": 1}],
    "a map of marks and a long int": {"$int": {"$float": "inf", "n": 2**70}},
    "a long text": "é" * 100_000,
}

NEAREST: dict[str, tuple[Any, Any]] = {
    "a naive datetime": (datetime(2026, 7, 1, 12), NOON),  # noqa: DTZ001
    "microseconds": (NOON.replace(microsecond=1999), NOON.replace(microsecond=1000)),
    "a date": (date(2026, 7, 1), "2026-07-01"),
    "a duration": (timedelta(minutes=5), "0:05:00"),
    "a decimal": (Decimal("1.10"), "1.10"),
    "a UUID": (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    "an enum": (Mood.CALM, "calm"),
    "a dataclass": (Parcel(Decimal(3)), {"weight": "3"}),
    "a pydantic model": (Point(x=1, y=(2, 3)), {"x": 1, "y": [2, 3]}),
    "a path": (PurePosixPath("/srv/data"), "/srv/data"),
    "an exception": (KeyError("k"), "KeyError('k')"),
    "a set": ({3, 1, 2}, [1, 2, 3]),
    "a tuple": ((1, (2,)), [1, [2]]),
    "a class": (Mood, "<enum 'Mood'>"),
    "what has no repr": (Mute(), "<Mute>"),
    "keys of other types": ({1: "a", None: "b", "1": "c"}, {"1": "a", "None": "b", "1 (2)": "c"}),
}

SHOWN: dict[str, tuple[Any, Callable[[Any], bool]]] = {
    "a generator": ((n for n in range(3)), lambda stored: "generator" in stored),
    "a circle": (
        circle(),
        lambda stored: stored["name"] == "ring" and "ring" in str(stored["self"]),
    ),
    "101 levels": (deep(101), lambda stored: "bottom" in str(stored)),
    "50,000 levels": (deep_list(50_000), lambda stored: str(stored).startswith("[[[[")),
}


@pytest.mark.promise("odd values: exact where a store can say it")
async def test_exactly_storable_values_round_trip(
    zep: Facade, session_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    history = zep.chat_history(session_id)
    call = {"name": "f", "args": {"given": EXACT}, "id": "c", "type": "tool_call"}
    given = [
        AIMessage("", id="1", tool_calls=[call], response_metadata=EXACT),
        ToolMessage([{"type": "data", "data": EXACT}], tool_call_id="c", artifact=EXACT, id="2"),
    ]
    with caplog.at_level(logging.WARNING, "langchain_zepstore"):
        await history.add(*given)
    assert await history.messages() == given
    assert caplog.records == []


@pytest.mark.promise("odd values: the nearest readable form, with one warning")
async def test_other_values_are_stored_in_their_nearest_form_with_one_warning(
    zep: Facade, session_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    history = zep.chat_history(session_id)
    cases = {name: value for name, (value, _) in {**NEAREST, **SHOWN}.items()}
    given = [
        HumanMessage("?", id="1"),
        ToolMessage("ok", tool_call_id="c", artifact=cases, id="2"),
        AIMessage("!", id="3", additional_kwargs=dict(NEAREST)),
    ]
    with caplog.at_level(logging.WARNING, "langchain_zepstore"):
        await history.add(*given)
    [record] = caplog.records
    assert "messages[1], messages[2]" in record.getMessage()
    asked, answer, last = await history.messages()
    assert (asked, answer.content, last.content) == (given[0], "ok", "!")
    for name, (_, nearest) in NEAREST.items():
        assert answer.artifact[name] == nearest, name
    for name, (_, is_shown) in SHOWN.items():
        assert is_shown(answer.artifact[name]), name


@pytest.mark.parametrize(
    ("text", "kept"),
    [("a\ud83d", "a\ufffd"), ("\ude00b", "\ufffdb"), ("\ud83d\ude00", "\U0001f600")],
    ids=["high surrogate", "low surrogate", "pair"],
)
async def test_lone_surrogates_are_replaced_and_pairs_joined(
    zep: Facade, session_id: str, text: str, kept: str, caplog: pytest.LogCaptureFixture
) -> None:
    history = zep.chat_history(session_id)
    block = {"type": "text", "text": text, text: [text]}
    await history.add(HumanMessage(text, name=text, id="1"), HumanMessage([block], id="2"))
    assert await history.messages() == [
        HumanMessage(kept, name=kept, id="1"),
        HumanMessage([{"type": "text", "text": kept, kept: [kept]}], id="2"),
    ]
    assert caplog.records == []


@pytest.mark.parametrize("bad", ["a\0b", "x" * 1025, "a\ud800"], ids=["NUL", "long", "surrogate"])
async def test_an_invalid_message_id_is_replaced_by_a_new_one(
    zep: Facade, session_id: str, bad: str
) -> None:
    history = zep.chat_history(session_id)
    await history.add(HumanMessage("a", id=bad), AIMessage("b", id=""), AIMessage("c", id=""))
    said = await history.messages()
    assert [each.content for each in said] == ["a", "b", "c"]
    assert len({each.id for each in said} - {"", bad}) == 3


async def test_content_is_stored_even_if_other_fields_cannot_be(
    zep: Facade, session_id: str
) -> None:
    history = zep.chat_history(session_id)
    broken = AIMessage("said", id="1")
    broken.tool_calls = "none"  # type: ignore[assignment]
    await history.add(HumanMessage("?"), broken)
    assert [each.content for each in await history.messages()] == ["?", "said"]


@pytest.mark.promise("odd values: what is too large is cut, with a marker")
async def test_an_output_larger_than_a_document_is_truncated_with_a_marker(
    zep: Facade, session_id: str
) -> None:
    history = zep.chat_history(session_id)
    await history.add(
        HumanMessage("?"), ToolMessage("x" * 17_000_000, tool_call_id="c"), AIMessage("!")
    )
    asked, output, answer = await history.messages()
    assert (asked.content, answer.content) == ("?", "!")
    kept = len(output.content) - len(output.content.lstrip("x"))
    assert kept > 15_000_000
    assert output.content[kept:] == f"… [{17_000_000 - kept:,} of 17,000,000 characters left out]"


async def test_datetimes_of_zep_models_are_utc_and_truncated_to_milliseconds(
    zep: Facade, session_id: str
) -> None:
    fine = datetime(2026, 7, 1, 12, 0, 0, 1999)  # noqa: DTZ001
    kept = NOON.replace(microsecond=1000)
    session = Session(session_id=session_id, metadata={"at": fine, "aware": fine.astimezone(UTC)})
    created = await zep.memory.add_session(session)
    assert created.metadata["at"] == kept
    assert created.metadata["aware"].microsecond == 1000
    message = Message(role="user", content="x", created_at=fine, metadata={"at": fine})
    await zep.memory.add_memory(session_id, Memory(messages=[message]))
    [stored] = (await zep.memory.get_memory(session_id)).messages
    assert stored.created_at == kept
    assert stored.metadata == {"at": kept}
