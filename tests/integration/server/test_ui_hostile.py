"""Hostile and huge contents on the page: they never run, and pages stay small."""

import time
from typing import Any
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_zepstore import ZepClient
from langchain_zepstore.models import Memory, Message
from langchain_zepstore.server import ApiKey, create_app
from langchain_zepstore.server.ui.conversation import as_json
from tests.integration.server.test_ui_conversation import messages, opened, path, say
from tests.support.pages import Browser, Shown, browser_of

MEGABYTE = 2**20
pytestmark = pytest.mark.promise("stored content never runs on the page, and huge content is cut")


@pytest.fixture
def session_id() -> str:
    return f"hostile {uuid4()}"


def assert_harmless(page: Shown) -> None:
    """Check that nothing runs, is loaded from elsewhere, or leads to a script."""
    for each in page.all():
        assert each.name not in {"style", "iframe", "object", "embed", "base"}
        assert not [name for name in each.attributes if name.startswith("on") or name == "style"]
        is_link = each.attributes.get("rel") == "noopener noreferrer nofollow"
        for name in each.attributes.keys() & {"src", "action", "formaction", "hx-get", "href"}:
            url = each.attributes[name]
            assert url.startswith("https://" if is_link else ("/ui", "#main")), (each.name, url)
    assert [each.text for each in page.all("script")] == [""] * len(page.all("script"))


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<style>body{display:none}</style>",
    "[link](javascript:alert(1)) [data](data:text/html,<script>) <javascript:alert(1)>",
    "[a]( java\nscript:alert(1)) [b](vbscript:x) [c](&#106;avascript:x) [d](/ui/logout)",
    "![picture](https://evil.example/track.png) ![p](data:image/svg+xml;base64,PHN2Zy8+)",
    "</div></li></ol></main><form action=https://evil.example><input name=api_key>",
    '"><svg onload=alert(1)>',
    "| a |\n| :-: |\n| <b onclick=x> |",
    "```<script>\nalert(1)\n```\n<!-- -->",
    "{{ visit.client }} {% include 'login.html' %}",
    "[ok](https://example.org/) <https://example.org>",
]


async def test_stored_content_is_never_executed(browser: Browser, page_store, session_id) -> None:
    user_id = f"<b>{uuid4()}\"'"
    history = page_store.chat_history(session_id, user_id=user_id)
    for text in HOSTILE:
        call: Any = {"name": text, "args": {text: text}, "id": text}
        history.add_messages(
            [
                HumanMessage(text),
                AIMessage(text, tool_calls=[call], additional_kwargs={"reasoning_content": text}),
                ToolMessage(text, tool_call_id=text, name=text, artifact={text: text}),
            ]
        )
    said = Message(role=HOSTILE[1], content="role", metadata={HOSTILE[0]: 1, "lang": '"x'})
    page_store.memory.add_memory(session_id, Memory(messages=[said]))
    for title in HOSTILE[:4]:
        page_store.memory.organize_session(
            session_id, title=title, tags=[title], metadata={title: title}
        )
        page = await opened(browser, session_id)
        assert_harmless(page)
        assert page.all("h1")[0].text == title
    assert "alert(1)" in page.text
    assert_harmless(await browser.open("/ui", params={"user_id": user_id}))
    assert_harmless(await browser.open("/ui", params={"user_id": HOSTILE[7], "q": HOSTILE[0]}))
    assert_harmless(await browser.open("/ui/sessions/%3Cscript%3Ealert(1)%3C%2Fscript%3E"))


async def test_control_characters_are_made_visible(
    browser: Browser, page_store, session_id
) -> None:
    text = "ab\x07c\x1b[31md\u202eevil\u202c\u2066x\u2069\x85\r\nnext"
    page_store.chat_history(session_id).add_messages(
        [HumanMessage(text), AIMessage(f"`{text}`"), ToolMessage(text, tool_call_id="1")]
    )
    page_store.memory.organize_session(session_id, title="ti\u202etle")
    page = await opened(browser, session_id)
    assert not set("\x07\x1b\u202e\u202c\u2066\u2069\x85") & set(page.text)
    assert "b\u2407c\u241b[31md[U+202E]evil[U+202C]" in page.text
    assert page.all("h1")[0].text == "ti[U+202E]tle"
    assert page.all("h1")[0].all("bdi")
    assert all("dir" in each.attributes for each in page.all("div", class_="body"))


async def test_a_known_language_is_set_as_lang_attribute(
    browser: Browser, page_store, session_id
) -> None:
    said = [
        Message(role="human", content=tag, metadata={"language": tag}) for tag in ("de", "ar-EG")
    ]
    page_store.memory.add_memory(session_id, Memory(messages=said))
    page = await opened(browser, session_id)
    items = page.all("li", class_="message human")
    assert [each.attributes["lang"] for each in items] == ["de", "ar-EG"]


async def assert_small(browser: Browser, where: str) -> Shown:
    """Check that a page is small and quick: the best of three, for other tests run beside it."""
    seconds = []
    for _ in range(3):
        begun = time.process_time()
        page = await browser.open(where)
        seconds.append(time.process_time() - begun)
        assert page.status == 200
        assert len(page.source.encode()) < MEGABYTE
    assert min(seconds) < 1, f"{min(seconds):.2f} s of CPU"
    return page


async def test_a_message_of_15_megabytes_is_truncated(
    browser: Browser, page_store, session_id
) -> None:
    say(page_store, session_id, HumanMessage("<&\"'ü" * 2_000_000, id="big"), AIMessage("Ok."))
    for where in (path(session_id), f"{path(session_id)}/messages/big"):
        page = await assert_small(browser, where)
        assert "This is the beginning of a long message." in page.text
    assert_harmless(page)
    page = await browser.open(f"{path(session_id)}/messages/big/edit")
    assert (page.status, "too large" in page.text) == (400, True)
    page_store.message.delete_message(session_id, "big")
    await assert_small(browser, "/ui")
    answer = await browser.http.get(f"{path(session_id)}/messages/big/download")
    assert len(answer.json()["content"]) == 10_000_000


async def test_odd_values_are_shown(browser: Browser, page_store, session_id) -> None:
    odd: Any = {
        "int": 10**5000,
        "bytes": b"\x00",
        "nan": float("nan"),
        "$ref": 1,
        "deep": {"a": [{}]},
    }
    call: Any = {"name": "n" * 5000, "args": odd, "id": "1"}
    bad: Any = {"name": None, "args": "{", "id": None, "error": "no JSON"}
    blocks: Any = ["text", {"type": "audio", "name": "a.mp3"}, {"no": "type"}, {"type": "image"}]
    blocks += [{"type": 10**5000}, {"type": "image", "data": "x", "mime_type": 10**5000}]
    blocks += [{"type": "text", "text": 5}, {"type": "image_url", "image_url": None}]
    said = AIMessage(blocks, tool_calls=[call], invalid_tool_calls=[bad], response_metadata=odd)
    say(
        page_store, session_id, said, ToolMessage([{"type": "text", "text": "x"}], tool_call_id="1")
    )
    long = Message(role="r" * MEGABYTE, content="", uuid="m " * 500)
    page_store.memory.add_memory(session_id, Memory(messages=[long]))
    metadata = {"title": "t" * MEGABYTE}
    tags = [f"{number:03}" * 300 for number in range(100)]
    page_store.memory.organize_session(session_id, metadata=metadata, tags=tags)
    page = await assert_small(browser, path(session_id))
    assert "not understood" in page.text
    assert "Attachment: audio a.mp3" in page.text
    assert "and 90 more tags" in page.text
    await assert_small(browser, "/ui")
    page = await browser.press(page, "Rate message down")
    assert page.status == 200


async def test_pages_of_long_ids_tags_and_quotes_are_small(browser: Browser, page_store) -> None:
    quotes, user_id = '"' * 3000, f"{uuid4()}" + "é" * 490
    session_id = f"{uuid4()}" + "é" * 490
    calls = [{"name": quotes, "args": {"x": quotes}, "id": str(n)} for n in range(20)]
    said = [
        Message(
            role="ai",
            content="x",
            uuid=f"{n:02}" + "é" * 510,
            metadata={"x": quotes},
            langchain={"type": "ai", "data": {"content": "x", "tool_calls": calls * (n % 2)}},
        )
        for n in range(40)
    ]
    history = page_store.for_user(user_id)
    history.memory.add_memory(session_id, Memory(messages=said))
    await assert_small(browser, path(session_id))
    await assert_small(browser, f"{path(session_id)}/live?after={said[0].uuid}")
    tags = [f"{n}" + "é" * 490 for n in range(10)]
    for n in range(30):
        other = f"{n:02}" + session_id[2:]
        history.memory.add_memory(other, Memory(messages=[Message(role="ai", content="x")]))
        history.memory.organize_session(other, tags=tags, title="é" * 1000)
    await assert_small(browser, f"/ui?user_id={user_id}")
    await assert_small(browser, f"/ui/users/{user_id}")


def test_only_the_beginning_of_large_metadata_is_serialized() -> None:
    begun = time.process_time()
    text = as_json(["word"] * 10_000_000)
    assert text == ("[" + '\n  "word",' * 200)[:2000] + "…"
    assert time.process_time() - begun < 2


async def test_many_large_messages_are_read_in_pages(
    browser: Browser, page_store, session_id
) -> None:
    text = "**a** `b` [c](https://example.org) \n\n- d\n" * 60
    said = [Message(role="ai", content=f"{n}\n\n{text}", uuid=f"m{n}") for n in range(20)]
    page_store.memory.add_memory(session_id, Memory(messages=said))
    page = await assert_small(browser, path(session_id))
    seen = numbers(page)
    while links := [each for each in page.all("a") if each.text == "Earlier messages"]:
        page = await browser.open(links[0].attributes["href"])
        seen = numbers(page) + seen
    assert seen == list(range(20))
    page = await browser.open(path(session_id), params={"around": "m10"})
    assert numbers(page)[0] == 10
    seen = numbers(page)
    while links := [each for each in page.all("a") if each.text == "Later messages"]:
        page = await browser.open(links[0].attributes["href"])
        seen += numbers(page)
    assert seen == list(range(10, 20))


def numbers(page: Shown) -> list[int]:
    """Return the numbers with which the messages begin."""
    return [int(text.split()[0]) for text in messages(page)]


@pytest.mark.parametrize(
    "mark", ["[", "- a\n", "|a|b|\n|-|-|\n", "a\n", "[a][", "_a", "\\", "> -", "\u202e"]
)
async def test_markdown_expensive_to_parse_is_shown_as_plain_text(
    browser: Browser, page_store, session_id, mark
) -> None:
    said = [Message(role="ai", content=mark * (11_000 // len(mark))) for _ in range(20)]
    page_store.memory.add_memory(session_id, Memory(messages=said))
    await assert_small(browser, path(session_id))


async def test_a_conversation_of_10_000_messages_is_paged(
    browser: Browser, page_store, session_id
) -> None:
    said = [Message(role="human", content=f"number {n}", uuid=f"m{n}") for n in range(10_000)]
    page_store.memory.add_memory(session_id, Memory(messages=said))
    for query, last in (("", "9999"), ("?around=m5000", "5019"), ("?before=m200", "199")):
        page = await assert_small(browser, path(session_id) + query)
        assert messages(page)[-1] == f"number {last}"
    assert "10,000 messages" in page.text


async def test_1000_tool_calls_are_limited_to_20(browser: Browser, page_store, session_id) -> None:
    calls: Any = [{"name": "f", "args": {"x": "y" * 500}, "id": str(n)} for n in range(1000)]
    answers = [ToolMessage("z" * 500, tool_call_id=str(n)) for n in range(1000)]
    say(page_store, session_id, AIMessage("", tool_calls=calls, id="calls"), *answers)
    page = await assert_small(browser, f"{path(session_id)}?around=calls")
    assert "There are more tool calls." in page.text
    assert len(page.all("details", class_="call")) == 20
    assert page.all("details", class_="call")[0].text.endswith("z" * 500)
    await assert_small(browser, path(session_id))


async def test_readers_see_no_buttons_and_are_refused(page_store: ZepClient, session_id) -> None:
    say(page_store, session_id, HumanMessage("hi", id="q"))
    keys = [ApiKey("reader", read_only=True), ApiKey("alices", user_id="alice")]
    app = create_app(page_store, ui=True, api_keys=keys)
    reader = browser_of(app)
    await reader.press(await reader.open("/ui/login"), "Sign in", api_key="reader")
    page = await opened(reader, session_id)
    labels = {each.text for each in page.all("button")}
    assert labels == {"Search", "Sign out", "Export"}
    form = {"token": page.token, "feedback": "up", "title": "x", "tags": "x", "content": "x"}
    form["confirmation"] = session_id
    actions = ["pin", "archive", "rename", "tag", "delete", "restore", "erase"]
    actions += [f"messages/q/{action}" for action in ("delete", "restore", "edit", "rate")]
    for action in actions:
        answer = await reader.http.post(f"{path(session_id)}/{action}", data=form)
        assert (answer.status_code, "for reading only" in answer.text) == (403, True), action
    alice = browser_of(app)
    await alice.press(await alice.open("/ui/login"), "Sign in", api_key="alices")
    form["token"] = (await alice.open("/ui")).token
    for view in ("", "/export", "/messages/q", "/messages/q/edit", "/messages/q/download"):
        assert (await alice.open(path(session_id) + view)).status == 404, view
    assert (await alice.http.get(f"{path(session_id)}/live")).status_code == 204
    for action in actions:
        answer = await alice.http.post(f"{path(session_id)}/{action}", data=form)
        assert answer.status_code == 404, action
    assert page_store.message.count(session_id) == 1
