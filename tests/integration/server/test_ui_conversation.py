"""A conversation on the page: its messages and its buttons."""

from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_zepstore import ZepClient
from langchain_zepstore.models import Memory, Message
from tests.support.pages import Browser, Shown

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "YPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
SVG = "data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+"
pytestmark = pytest.mark.promise("the page shows a conversation and mends it, without JavaScript")


@pytest.fixture
def session_id(page_store: ZepClient) -> str:
    """A session with a question, two answers to it, and what followed."""
    session_id, user_id = f"talk {uuid4()}", f"user/{uuid4()}"
    history = page_store.chat_history(session_id, user_id=user_id)
    history.add_messages([HumanMessage("What is **new**?", id="q"), AIMessage("Nothing.", id="a1")])
    history.edit("a1", [AIMessage("A lot.", id="a2"), HumanMessage("Thanks", id="end")])
    page_store.memory.organize_session(session_id, title="News", tags=["daily"])
    return session_id


def path(session_id: str) -> str:
    return "/ui/sessions/" + session_id.replace(" ", "%20")


def messages(page: Shown) -> list[str]:
    """Return the texts of the messages that are shown."""
    items = page.all("ol")[0].all("li")
    shown = [each for each in items if "message" in each.attributes.get("class", "").split()]
    return [" ".join(part.text for part in each.all("div", class_="body")) for each in shown]


async def opened(browser: Browser, session_id: str, **query: Any) -> Shown:
    page = await browser.open(path(session_id), params=query)
    assert page.status == 200
    return page


def say(store: ZepClient, session_id: str, *said: Any) -> None:
    store.chat_history(session_id).add_messages(said)


async def test_a_conversation_shows_its_details_and_messages(browser: Browser, session_id) -> None:
    page = await opened(browser, session_id)
    assert page.all("h1")[0].text == "News"
    assert messages(page) == ["What is new?", "A lot.", "Thanks"]
    assert page.all("strong")[0].text == "new"
    assert "3 messages" in page.text
    assert page.all("a", class_="tag")[0].text == "daily"
    assert page.all("time")[0].attributes["datetime"].endswith("Z")
    user = next(a for a in page.all("a") if a.attributes["href"].startswith("/ui/users/"))
    assert user.attributes["href"].startswith("/ui/users/user%2F")


async def test_an_active_session_is_listed_first(browser: Browser, session_id) -> None:
    page = await browser.open("/ui", params={"tag": "daily"})
    first = page.all("li", class_="session")[0]
    assert first.all("a")[0].attributes["href"] == path(session_id)
    assert "Thanks" in first.text


@pytest.mark.parametrize(
    ("label", "undo", "field", "changed"),
    [("Pin", "Unpin", "pinned", True), ("Archive", "Unarchive", "archived", True)],
)
async def test_pins_and_archiving_can_be_set_and_undone(
    browser: Browser, page_store, session_id, label, undo, field, changed
) -> None:
    page = await browser.press(await opened(browser, session_id), label)
    assert getattr(page_store.memory.get_session(session_id), field) == changed
    assert page.button(undo)
    assert page.all("div", class_="notice")[0].all("button")[0].text == "Undo"
    page = await browser.press(page, "Undo")
    assert getattr(page_store.memory.get_session(session_id), field) != changed
    assert page.button(label)


async def test_a_session_is_renamed_and_tagged(browser: Browser, page_store, session_id) -> None:
    page = await browser.press(await opened(browser, session_id), "Rename", title=" Old <b>news ")
    assert page.all("h1")[0].text == "Old <b>news"
    page = await browser.press(page, "Tag", tags="a, b,, c d ")
    session = page_store.memory.get_session(session_id)
    assert (session.title, session.tags) == ("Old <b>news", ["a", "b", "c d"])
    page = await browser.press(page, "Rename", title="")
    assert page_store.memory.get_session(session_id).title is None
    assert page.all("h1")[0].text == session_id


async def test_a_session_deletion_is_undone_or_restored(
    browser: Browser, page_store, session_id
) -> None:
    page = await browser.press(await opened(browser, session_id), "Delete")
    assert page.url.path == "/ui"
    assert "“News” was moved to the trash." in page.text
    trashed = await opened(browser, session_id)
    assert messages(trashed) == ["What is new?", "A lot.", "Thanks"]
    assert not trashed.button("Pin")
    page = await browser.press(page, "Undo")
    assert page.url.path == path(session_id).replace("%20", " ")
    assert page_store.message.count(session_id) == 3
    page_store.memory.delete_memory(session_id)
    await browser.press(await opened(browser, session_id), "Restore")
    assert page_store.message.count(session_id) == 3


async def test_a_notice_is_shown_once(browser: Browser, session_id) -> None:
    page = await browser.press(await opened(browser, session_id), "Pin")
    assert page.all("div", class_="notice")
    assert not (await opened(browser, session_id)).all("div", class_="notice")


async def test_erasing_a_session_requires_typing_its_id(
    browser: Browser, page_store, session_id
) -> None:
    page = await opened(browser, session_id)
    refused = await browser.press(page, "Erase", confirmation="News")
    assert refused.status == 400
    assert page_store.message.count(session_id) == 3
    page = await browser.press(page, "Erase", confirmation=session_id)
    assert page.url.path == "/ui"
    assert (await browser.open(path(session_id))).status == 404


async def test_an_export_is_downloaded_as_a_file(browser: Browser, page_store, session_id) -> None:
    answer = await browser.http.get(f"{path(session_id)}/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="session.jsonl"'
    assert len(answer.text.splitlines()) == 6
    assert (await browser.open(f"{path('unknown')}/export")).status == 404


async def test_a_message_is_deleted_shown_and_restored(
    browser: Browser, page_store, session_id
) -> None:
    page = await browser.press(await opened(browser, session_id), "Delete message")
    assert messages(await opened(browser, session_id)) == ["A lot.", "Thanks"]
    page = await browser.press(page, "Undo")
    assert page_store.message.count(session_id) == 3
    page_store.message.delete_message(session_id, "end")
    page = await opened(browser, session_id, around="end")
    assert messages(page) == ["What is new?", "A lot."]
    page = await opened(browser, session_id, deleted="true")
    assert messages(page) == ["What is new?", "A lot.", "Thanks"]
    deleted = next(li for li in page.all("li") if "deleted" in li.attributes.get("class", ""))
    assert "Thanks" in deleted.text
    await browser.press(page, "Restore message")
    assert page_store.message.count(session_id) == 3


async def test_a_message_is_edited(browser: Browser, page_store, session_id) -> None:
    page = await browser.press(await opened(browser, session_id), "Edit message")
    assert page.all("textarea")[0].text == "What is **new**?"
    page = await browser.press(page, "Save", content="What\r\nelse?")
    assert page_store.message.get_session_message(session_id, "q").content == "What\nelse?"
    assert messages(page)[0] == "What else?"


async def test_a_message_is_rated(browser: Browser, page_store, session_id) -> None:
    page = await opened(browser, session_id)
    for label, rating in (("up", "up"), ("down", "down"), ("down", None)):
        page = await browser.press(page, f"Rate message {label}")
        metadata = page_store.message.get_session_message(session_id, "q").metadata
        assert metadata == {"feedback": rating}
    form = {"token": page.token, "feedback": "x"}
    answer = await browser.http.post(f"{path(session_id)}/messages/q/rate", data=form)
    assert answer.status_code == 400


async def test_branches_are_switched(browser: Browser, page_store, session_id) -> None:
    page = await opened(browser, session_id)
    assert page.all("span", class_="switch")[0].all("span")[0].text == "2 / 2"
    page = await browser.press(page, "Previous alternative")
    assert messages(page) == ["What is new?", "Nothing."]
    assert page_store.message.count(session_id) == 2
    page = await browser.press(page, "Next alternative")
    assert messages(page) == ["What is new?", "A lot.", "Thanks"]


async def test_tool_calls_show_their_results(browser: Browser, page_store, session_id) -> None:
    calls = [{"name": "weather", "args": {"city": "Köln"}, "id": "1"}]
    calls.append({"name": "lost", "args": {}, "id": "2"})
    usage = {"input_tokens": 7, "output_tokens": 8, "total_tokens": 15}
    blocks = [{"type": "reasoning", "reasoning": "I should ask."}, {"type": "text", "text": "Hm."}]
    say(
        page_store,
        session_id,
        AIMessage(blocks, tool_calls=calls, usage_metadata=usage),
        ToolMessage("21 <degrees>", tool_call_id="1", status="error"),
    )
    page = await opened(browser, session_id)
    assert messages(page)[3].startswith("ReasoningI should ask. Hm.")
    assert len(messages(page)) == 4
    weather, lost = page.all("details", class_="call")
    assert weather.all("summary")[0].text == "weather failed"
    assert '"city": "Köln"' in weather.text
    assert "21 <degrees>" in weather.text
    assert lost.all("summary")[0].text == "lost no answer here"
    assert '"total_tokens": 15' in page.all("details", class_="more-facts")[0].text


async def test_only_images_of_safe_types_are_shown(
    browser: Browser, page_store, session_id
) -> None:
    urls = [f"data:image/png;base64,{PNG}", SVG, "https://example.org/cat.png", "javascript:x"]
    urls.append(f"data:text/html;base64,{PNG}")
    say(page_store, session_id, HumanMessage([image(url) for url in urls], id="pictures"))
    page = await browser.open(f"{path(session_id)}/messages/pictures/edit")
    assert "they go when it is saved" in page.text
    page = await opened(browser, session_id)
    assert [each.attributes["src"] for each in page.all("img")] == [
        f"{path(session_id)}/messages/pictures/pictures/0"
    ]
    assert "image/svg+xml" in page.text
    links = [each.attributes["href"] for each in page.all("a", rel="noopener noreferrer nofollow")]
    assert links == ["https://example.org/cat.png"]
    assert "javascript" not in page.source
    answer = await browser.http.get(page.all("img")[0].attributes["src"])
    assert answer.headers["content-type"] == "image/png"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.content.startswith(b"\x89PNG")
    for index in (1, 2, 3, 4, 5):
        where = f"{path(session_id)}/messages/pictures/pictures/{index}"
        assert (await browser.http.get(where)).status_code == 404


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


async def test_new_messages_are_polled(browser: Browser, page_store, session_id) -> None:
    page = await opened(browser, session_id)
    live = page.all("li", class_="live")[0].attributes["hx-get"]
    assert (await browser.http.get(live)).status_code == 204
    say(page_store, session_id, AIMessage("You are welcome.", id="new"))
    part = Shown(await browser.http.get(live))
    assert [each.attributes["id"] for each in part.all("li", class_="message ai")] == ["m-new"]
    assert part.all("li", class_="live")[0].attributes["hx-get"].endswith("?after=new")
    assert not part.all("html")


async def test_long_conversations_are_read_in_pages(browser: Browser, page_store) -> None:
    session_id = f"long {uuid4()}"
    said = [Message(role="human", content=f"number {n}", uuid=f"m{n}") for n in range(100)]
    page_store.memory.add_memory(session_id, Memory(messages=said))
    page = await opened(browser, session_id)
    seen = [messages(page)]
    while any(each.text == "Earlier messages" for each in page.all("a")):
        link = next(each for each in page.all("a") if each.text == "Earlier messages")
        page = await browser.open(link.attributes["href"])
        seen.insert(0, messages(page))
    assert [text for part in seen for text in part] == [f"number {n}" for n in range(100)]
    page = await opened(browser, session_id, around="m50")
    assert messages(page)[0] == "number 30"
    later = next(each for each in page.all("a") if each.text == "Later messages")
    assert messages(await browser.open(later.attributes["href"]))[0] == "number 70"
    for around, links in (
        ("m0", {"Later messages"}),
        ("m5", {"Later messages"}),
        ("m50", {"Earlier messages", "Later messages"}),
        ("m95", {"Earlier messages"}),
        ("m99", {"Earlier messages"}),
    ):
        page = await opened(browser, session_id, around=around)
        shown = {each.text for each in page.all("a")}
        assert shown & {"Earlier messages", "Later messages"} == links, around
        assert bool(page.all("li", class_="live")) == ("Later messages" not in links)


async def test_unknown_sessions_and_messages_are_not_found(browser: Browser, session_id) -> None:
    for where in (
        path("unknown"),
        f"{path(session_id)}/messages/unknown",
        f"{path(session_id)}/messages/unknown/edit",
        f"{path(session_id)}?before=unknown",
        "/ui/nothing",
    ):
        page = await browser.open(where)
        assert (page.status, page.all("h1")[0].text) == (404, "Not found")
