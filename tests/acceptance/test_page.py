"""The page in Chromium: each view and each action, with JavaScript and without."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from pymongo import MongoClient

from langchain_zepstore import CreateUserRequest, Memory, Message, Session, ZepClient
from langchain_zepstore.server import ApiKey
from tests.support.browsing import FOCUSABLE, OVERFLOWING, Watched, chromium, png, serious, served

pytestmark = pytest.mark.promise("each view and action of the page works in a real browser")
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
HOSTILE = (
    "<script>document.title='ran'</script> <img src=x onerror=\"document.title='ran'\"> "
    "[a link](javascript:document.title='ran') ![tracker](http://192.0.2.1/pixel.png) "
    "<style>body{display:none}</style> \u202edesrever " + "unbroken" * 60
)
MARKDOWN = (
    "# A plan\n\n| day | what |\n|---|---|\n| 1 | `kyoto` |\n\n```python\n" + "x" * 200 + "\n```"
)
VIEWS = {
    "sessions": "/ui",
    "filtered sessions": "/ui?user_id=nobody&tag=travel&show=all",
    "conversation": "/ui/sessions/kyoto",
    "hostile conversation": "/ui/sessions/hostile",
    "deleted session": "/ui/sessions/gone",
    "message": "/ui/sessions/kyoto/messages/answer",
    "editor": "/ui/sessions/kyoto/messages/question/edit",
    "users": "/ui/users",
    "user": "/ui/users/ada?count=true",
    "trash": "/ui/trash",
    "search": "/ui/search?q=temples&user_id=ada",
    "search without a user": "/ui/search?q=temples",
    "overview": "/ui/overview",
}

# Others of their sort are looked at every day.
RARELY = ("filtered sessions", "deleted session", "search without a user")
LOOKED_AT = [
    pytest.param(view, marks=pytest.mark.long("views like it are looked at"))
    if view in RARELY
    else view
    for view in VIEWS
]


# A form that works without JavaScript in one test works so in others: a filter, an action on a
# session, on a message, a download, a phrase that is typed, and the sign-in are tried every day.
MAINLY_WITH_JAVASCRIPT = pytest.mark.parametrize(
    "watched",
    [
        pytest.param(True, id="with JavaScript"),
        pytest.param(False, id="without", marks=pytest.mark.long("a form like it is tried")),
    ],
    indirect=True,
)


def fill(store: ZepClient) -> None:
    store.user.add(CreateUserRequest(user_id="ada", first_name="Ada", metadata={"plan": "pro"}))
    store.user.add(CreateUserRequest(user_id="grace"))
    for number in range(40):
        say(store, f"session {number}", f"Question {number}", user_id="grace")
    store.memory.organize_session("session 39", archived=True)
    call = {"name": "find_temples", "args": {"city": "Kyoto"}, "id": "call 1"}
    picture = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": png(32)}},
    ]
    history = store.chat_history("kyoto", user_id="ada")
    history.add_messages(
        [
            HumanMessage("Which temples are there?", id="question"),
            AIMessage("I look.", id="looking", tool_calls=[call]),
            ToolMessage("Kinkaku-ji, Ginkaku-ji", tool_call_id="call 1", id="tool"),
            AIMessage("Two temples.", id="first"),
        ]
    )
    history.edit("first", [AIMessage(MARKDOWN, id="answer"), HumanMessage(picture, id="picture")])
    tags = ["travel", "japan"]
    store.memory.organize_session("kyoto", title="Temples in Kyoto", pinned=True, tags=tags)
    store.memory.add_session(Session(session_id="hostile", user_id="ada", title=HOSTILE))
    long = Message(role=HOSTILE[:60], content="a long word " * 4000, metadata={"x": HOSTILE})
    store.memory.add_memory(
        "hostile", Memory(messages=[Message(role="user", content=HOSTILE), long])
    )
    say(store, "gone", "It rains", user_id="ada")
    store.memory.delete_memory("gone")


def say(store: ZepClient, session_id: str, *texts: str, user_id: str | None = None) -> None:
    history = store.chat_history(session_id, user_id=user_id)
    history.add_messages([HumanMessage(text, id=f"m{i}") for i, text in enumerate(texts)])


class Site:
    """The page's server, with the browser."""

    def __init__(self, browser: Any, store: ZepClient, url: str, locked_url: str) -> None:
        self.browser = browser
        self.store = store
        self.url = url
        self.locked_url = locked_url
        self._contexts: dict[tuple[bool, int], Watched] = {}

    def watched(self, width: int = 1280, *, js: bool = True) -> Watched:
        """Return the one context of its sort."""
        sort = (js, width)
        if sort not in self._contexts:
            self._contexts[sort] = Watched(
                self.browser,
                self.url,
                java_script_enabled=js,
                viewport=WIDE if width == WIDE["width"] else NARROW,
                timezone_id="Asia/Tokyo",
                locale="en-US",
            )
        return self._contexts[sort]


@pytest.fixture(scope="module")
def site(mongo_url: str) -> Iterator[Site]:
    name = f"page_{uuid4().hex}"
    keys = [ApiKey("whole"), ApiKey("reader", read_only=True), ApiKey("ada's", user_id="ada")]
    with (
        chromium() as browser,
        ZepClient(mongo_url, database=name, async_driver="pymongo") as store,
    ):
        fill(store)
        with served(store, [], keys) as (url, locked_url):
            yield Site(browser, store, url, locked_url)
        with MongoClient(mongo_url) as driver:
            driver.drop_database(name)


@pytest.fixture(params=[True, False], ids=["with JavaScript", "without"])
def watched(site: Site, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A context with JavaScript, and one without."""
    watched = site.watched(js=request.param)
    yield watched
    watched.check()


@pytest.fixture
def session_id(site: Site) -> str:
    """A session of the test's own."""
    session_id = f"own {uuid4()}"
    say(site.store, session_id, "Is it far?", "It is near.", user_id="ada")
    return session_id


def opened(watched: Watched, session_id: str) -> Any:
    return watched.open(f"/ui/sessions/{quote(session_id, safe='')}")


def press(page: Any, label: str, inside: Any = None) -> None:
    (inside or page).get_by_role("button", name=label, exact=True).first.click()
    page.wait_for_load_state("load")


def message(page: Any, text: str) -> Any:
    return page.locator(".message", has_text=text).first


def shows(page: Any, text: str) -> None:
    page.get_by_text(text).first.wait_for()


@pytest.mark.parametrize("view", LOOKED_AT)
def test_a_view_fits_and_is_accessible(site: Site, view: str) -> None:
    watched = site.watched()
    page = watched.open(VIEWS[view])
    heading = page.locator("h1").inner_text()
    assert serious(page) == []
    assert page.evaluate(OVERFLOWING) == []
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(NARROW)
    assert page.evaluate(OVERFLOWING) == []
    assert serious(page, runOnly=["color-contrast", "target-size"]) == []
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(WIDE)
    assert page.title() != "ran"
    watched.check()

    watched = site.watched(390, js=False)
    page = watched.open(VIEWS[view])
    assert page.locator("h1").inner_text() == heading
    assert page.evaluate(OVERFLOWING) == []
    watched.check()


@pytest.mark.parametrize("view", ["sessions", "conversation"])
def test_every_control_is_reachable_by_keyboard(site: Site, view: str) -> None:
    page = site.watched(390).open(VIEWS[view])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.evaluate(
        """() => {
            window.reached = new Set([document.activeElement]);
            document.addEventListener("focusin", (event) => window.reached.add(event.target));
        }"""
    )
    for _ in range(page.evaluate(FOCUSABLE) - 1):
        page.keyboard.press("Tab")
    assert page.evaluate("window.reached.size") == page.evaluate(FOCUSABLE)
    page.evaluate("document.querySelector('.skip').focus()")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_times_are_shown_in_the_browsers_time_zone(site: Site) -> None:
    page = site.watched().open("/ui/sessions/kyoto")
    assert "Asia/Tokyo" in page.locator(".foot").inner_text()
    assert page.locator("time").first.get_attribute("title").endswith("UTC")
    page = site.watched(js=False).open("/ui/sessions/kyoto")
    assert page.locator("time").first.inner_text().endswith("UTC")


def test_more_sessions_are_loaded_while_scrolling(site: Site) -> None:
    page = site.watched().open("/ui?user_id=grace")
    page.locator(".session").nth(29).scroll_into_view_if_needed()
    page.locator(".more").scroll_into_view_if_needed()
    page.locator(".session").nth(38).wait_for()
    page = site.watched(js=False).open("/ui?user_id=grace")
    page.get_by_role("link", name="More sessions").click()
    assert page.locator(".session").count() == 9


def test_filters_are_in_the_url_and_work_with_back_and_forward(watched: Watched) -> None:
    page = watched.open("/ui")
    page.get_by_label("User").fill("ada")
    press(page, "Filter")
    assert "user_id=ada" in page.url
    page.get_by_role("link", name="Temples in Kyoto").click()
    page.wait_for_url("**/ui/sessions/kyoto")
    page.go_back()
    assert page.get_by_label("User").input_value() == "ada"
    page.go_forward()
    assert page.url.endswith("/ui/sessions/kyoto")


@MAINLY_WITH_JAVASCRIPT
def test_tool_calls_are_folded_and_images_shown(watched: Watched) -> None:
    page = watched.open("/ui/sessions/kyoto")
    answer = page.get_by_text("Kinkaku-ji, Ginkaku-ji")
    assert not answer.is_visible()
    page.locator(".call summary").click()
    answer.wait_for()
    picture = page.locator(".body img")
    picture.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('.body img').naturalWidth === 32")


def test_new_messages_appear_in_an_open_conversation(site: Site, session_id: str) -> None:
    page = opened(site.watched(), session_id)
    shows(page, "It is near.")
    site.store.chat_history(session_id).add_messages([AIMessage("Ten minutes.")])
    shows(page, "Ten minutes.")
    assert page.locator(".message").count() == 3
    assert opened(site.watched(js=False), session_id).locator(".message").count() == 3
    site.watched().open("about:blank")


@MAINLY_WITH_JAVASCRIPT
def test_a_branch_can_be_switched(site: Site, watched: Watched, session_id: str) -> None:
    site.store.chat_history(session_id).edit("m1", [AIMessage("It is far.", id="far")])
    page = opened(watched, session_id)
    shows(page, "2 / 2")
    press(page, "Previous alternative")
    shows(page, "It is near.")
    assert site.store.memory.get_memory(session_id).messages[-1].content == "It is near."


def test_a_session_is_organized(site: Site, watched: Watched, session_id: str) -> None:
    page = opened(watched, session_id)
    page.get_by_label("Title").fill("Far & near")
    press(page, "Rename")
    assert page.locator("h1").inner_text() == "Far & near"
    page.get_by_label("Tags, with commas between").fill("a, b")
    press(page, "Tag")
    press(page, "Pin")
    press(page, "Archive")
    found = site.store.memory.get_session(session_id)
    assert (found.title, found.tags, found.pinned, found.archived) == (
        *("Far & near", ["a", "b"], True, True),
    )
    press(page, "Undo")
    press(page, "Unpin")
    found = site.store.memory.get_session(session_id)
    assert (found.pinned, found.archived) == (False, False)


@MAINLY_WITH_JAVASCRIPT
def test_a_session_is_deleted_and_restored(site: Site, watched: Watched, session_id: str) -> None:
    press(opened(watched, session_id), "Delete")
    page = watched.page
    shows(page, "was moved to the trash")
    assert site.store.message.count(session_id) == 0
    press(page, "Undo")
    assert site.store.message.count(session_id) == 2
    press(opened(watched, session_id), "Delete")
    watched.open("/ui/trash")
    press(page, "Restore", page.locator("li", has_text=session_id))
    assert site.store.message.count(session_id) == 2


def test_a_session_is_exported_and_erased(site: Site, watched: Watched, session_id: str) -> None:
    page = opened(watched, session_id)
    with page.expect_download() as download:
        press(page, "Export")
    lines = [json.loads(line) for line in download.value.path().read_text().splitlines()]
    assert [line["type"] for line in lines] == ["zepstore", "session", "message", "message"]
    page.get_by_label("to erase it").fill(session_id)
    press(page, "Erase")
    shows(page, "Erased for good, with 2 messages.")
    assert site.store.memory.recent_sessions(50, user_id="ada", deleted=True).sessions
    assert not [*site.store.message.iter_messages(session_id, include_deleted=True)]


def test_a_message_is_edited_rated_deleted_and_restored(
    site: Site, watched: Watched, session_id: str
) -> None:
    page = opened(watched, session_id)
    press(page, "Edit message", message(page, "It is near."))
    page.locator("textarea").fill("It is\nvery near.")
    press(page, "Save")
    press(page, "Rate message up", message(page, "very near."))
    found = site.store.message.get_session_message(session_id, "m1")
    assert (found.content, found.metadata) == ("It is\nvery near.", {"feedback": "up"})
    press(page, "Delete message", message(page, "very near."))
    shows(page, "The message was deleted.")
    assert site.store.message.count(session_id) == 1
    press(page, "Undo")
    shows(page, "The message was restored.")
    press(page, "Delete message", message(page, "very near."))
    opened(watched, session_id).get_by_role("link", name="Show deleted messages").click()
    press(page, "Restore message", message(page, "very near."))
    assert site.store.message.count(session_id) == 2


@MAINLY_WITH_JAVASCRIPT
def test_a_search_result_links_to_its_message(
    site: Site, watched: Watched, session_id: str
) -> None:
    texts = [f"Number {number} of many" for number in range(90)]
    site.store.user.add(CreateUserRequest(user_id=session_id))
    long = f"long {session_id}"
    say(site.store, long, *texts[:40], "The caldera", *texts[40:], user_id=session_id)
    page = watched.open("/ui")
    page.get_by_label("Search messages").fill("calderas")
    press(page, "Search")
    page.get_by_role("textbox", name="User").fill(session_id)
    press(page, "Find")
    assert page.locator("mark").all_inner_texts() == ["caldera"]
    page.get_by_role("link", name=long).click()
    page.locator(".message:target").wait_for()
    assert "The caldera" in page.locator(".message:target").inner_text()
    assert page.locator(".message").count() < 91


@MAINLY_WITH_JAVASCRIPT
def test_a_user_is_exported_and_erased(site: Site, watched: Watched, session_id: str) -> None:
    site.store.user.add(CreateUserRequest(user_id=session_id))
    say(site.store, f"of {session_id}", "Hello", user_id=session_id)
    page = watched.open("/ui/users")
    page.get_by_role("searchbox", name="Id of a user").fill(session_id)
    press(page, "Find")
    page.get_by_role("link", name=session_id).click()
    with page.expect_download() as download:
        press(page, "Export")
    assert "Hello" in download.value.path().read_text()
    page.get_by_label("type the user's id").fill(session_id)
    press(page, "Erase")
    shows(page, "was erased for good, with 1 sessions and 1 messages")
    assert site.store.message.count(f"of {session_id}") == 0


@MAINLY_WITH_JAVASCRIPT
def test_the_trash_is_emptied(site: Site, watched: Watched, session_id: str) -> None:
    site.store.user.add(CreateUserRequest(user_id=session_id))
    say(site.store, f"of {session_id}", "Hello", user_id=session_id)
    site.store.memory.delete_memory(f"of {session_id}")
    page = watched.open(f"/ui/trash?user_id={quote(session_id)}")
    shows(page, "goes for good")
    page.get_by_text("Empty the trash").first.click()
    page.get_by_label("Type").fill("empty the trash")
    press(page, "Empty")
    shows(page, "Removed for good: 1 sessions and 1 messages")


@pytest.mark.parametrize("js", [True, False], ids=["with JavaScript", "without"])
def test_a_signed_in_user_has_only_the_rights_of_the_key(site: Site, js: bool) -> None:
    watched = Watched(site.browser, site.locked_url, java_script_enabled=js)

    def sign_in(key: str) -> Any:
        page = watched.open("/ui/sessions/kyoto")
        page.get_by_label("API key").fill(key)
        press(page, "Sign in")
        return page

    page = sign_in("whole")
    assert page.locator("h1").inner_text() == "Temples in Kyoto"
    assert page.get_by_role("button", name="Delete", exact=True).count() == 1
    press(page, "Sign out")
    if js:
        page = sign_in("reader")
        buttons = page.locator("main").get_by_role("button").all_inner_texts()
        assert buttons == ["Export"]
        press(page, "Sign out")
        page = sign_in("ada's")
        watched.open("/ui")
        shows(page, "Temples in Kyoto")
        assert page.get_by_text("grace").count() == 0
        press(page, "Sign out")
        assert serious(page) == []
    watched.check()
    assert watched.context.cookies() == []
    watched.context.close()


def test_a_printed_conversation_shows_only_its_messages(site: Site) -> None:
    page = site.watched().open("/ui/sessions/kyoto")
    page.emulate_media(media="print", reduced_motion="reduce")
    assert not page.locator(".top").is_visible()
    assert not page.get_by_role("button", name="Delete", exact=True).is_visible()
    assert message(page, "Which temples").is_visible()
    page.emulate_media(media="screen")
