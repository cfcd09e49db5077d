"""Make the pictures of the page in docs/images: ``python -m docs.screenshots LOCOMO``.

The conversations are LoCoMo's (one JSON file each), moved to lately; the second speaker stands
where an assistant would. One session gets a call of a tool and a second answer. It needs Chromium
and the extras ``embedded`` and ``test``.
"""

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage

from langchain_zepstore import Message, Session, ZepClient
from langchain_zepstore.migration import Conversation, migrate
from langchain_zepstore.migration.conversation import from_message
from tests.support.browsing import chromium, served

IMAGES = Path(__file__).parent / "images"
NEWEST = datetime(2026, 11, 27, tzinfo=UTC)
FEATURED = "43-28"
PAGES = {
    "sessions": "/ui",
    "conversation": f"/ui/sessions/{FEATURED}",
    "overview": "/ui/overview",
}
TITLES = {
    "26-17": "Tips on adopting",
    "26-18": "After the road trip",
    "26-19": "Figurines, and a home to give",
    "30-18": "The studio's future",
    "30-19": "A space for dancers",
    "41-31": "Shadow, the puppy",
    "41-32": "A fundraiser",
    "42-28": "After the tournament",
    "42-29": "On the set",
    "43-28": "A semester in Galway",
    "43-29": "A deal, and visas",
}
TAGS = {"43-28": ["travel", "ireland"], "42-29": ["film"], "41-31": ["pets"]}


def conversations(directory: Path) -> Iterator[Conversation]:
    """Yield the sessions of all files."""
    for days, path in enumerate(sorted(directory.glob("*.json"))):
        told = json.loads(path.read_text(encoding="utf-8"))
        moved = NEWEST.date() - moment_of(told["sessions"][-1]).date() - timedelta(days=days)
        for session in told["sessions"]:
            yield conversation(path.stem, told["speaker_a"], session, moved)


def moment_of(session: dict[str, Any]) -> datetime:
    """Return when a session took place."""
    return datetime.strptime(session["date_time"], "%I:%M %p on %d %B, %Y").replace(tzinfo=UTC)


def conversation(
    name: str, speaker: str, session: dict[str, Any], moved: timedelta
) -> Conversation:
    """Return a session of a file."""
    session_id = f"{name}-{session['session']}"
    is_featured = session_id == FEATURED
    start = NEWEST + timedelta(hours=16) if is_featured else moment_of(session) + moved
    messages = [
        Message(
            role="human" if turn["speaker"] == speaker else "ai",
            content=turn["text"].strip(),
            uuid=f"{session_id}:{number}",
            created_at=start + timedelta(minutes=number),
        )
        for number, turn in enumerate(session["turns"])
    ]
    if is_featured:
        messages = with_tool_and_branch(messages[:12])
    for before, message in zip([None, *messages], messages, strict=False):
        message.parent_uuid = message.parent_uuid or (before and before.uuid)
    kept = Session(
        session_id=session_id,
        user_id=speaker.lower(),
        title=TITLES.get(session_id),
        pinned=is_featured,
        tags=TAGS.get(session_id, []),
    )
    return Conversation(kept, messages, has_branches=True, active=messages[-1].uuid)


def with_tool_and_branch(messages: list[Message]) -> list[Message]:
    """Return messages of which the second was said in two ways, with a tool called before."""
    question, answer, *others = messages
    asked = question.created_at
    arguments = {"country": "Ireland", "near": "the sea"}
    call = {"name": "find_cities", "args": arguments, "id": "call-1"}
    found = '[{"city": "Galway", "music": 9.4}, {"city": "Cork", "music": 8.1}]'
    first = Message(role="ai", content="Dublin, perhaps?", uuid="first", created_at=asked)
    first.parent_uuid = question.uuid
    said = AIMessage("I look for cities **near the sea** with a lot of music.", tool_calls=[call])
    tool = ToolMessage(found, tool_call_id="call-1")
    looking, result = from_message(said, "looking", asked), from_message(tool, "found", asked)
    looking.parent_uuid = question.uuid
    result.parent_uuid, answer.parent_uuid = looking.uuid, "found"
    others[0].parent_uuid = answer.uuid
    return [question, first, looking, result, answer, *others]


def main() -> None:
    """Make the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("locomo", type=Path, help="the directory of LoCoMo's files")
    parser.add_argument("--variants", type=Path, help="where narrow and dark ones go")
    options = parser.parse_args()
    IMAGES.mkdir(exist_ok=True)
    with (
        TemporaryDirectory() as directory,
        ZepClient(f"embedded://{directory}", async_driver="pymongo") as store,
        chromium() as browser,
    ):
        report = migrate([*conversations(options.locomo)], store)
        print(f"{report.sessions} sessions, {report.messages} messages, {report.refused} refused")
        with served(store, []) as (url,):
            take(browser, url, IMAGES)
            for width, scheme in ((1280, "dark"), (390, "light"), (390, "dark")):
                if options.variants:
                    take(browser, url, options.variants, width, scheme)


def take(browser: Any, url: str, directory: Path, width: int = 1280, scheme: str = "light") -> None:
    """Take a picture of each page."""
    suffix = "" if (width, scheme) == (1280, "light") else f"-{width}-{scheme}"
    size = {"width": width, "height": 900}
    context = browser.new_context(base_url=url, viewport=size, color_scheme=scheme, locale="en-GB")
    page = context.new_page()
    for name, path in PAGES.items():
        page.goto(path)
        for call in page.locator(".call > summary").all():
            call.click()
        page.screenshot(path=directory / f"{name}{suffix}.png")
    context.close()


if __name__ == "__main__":
    main()
