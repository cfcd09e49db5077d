"""Users, trash, search and overview on the page."""

from datetime import UTC, datetime, timedelta

import pytest

from langchain_zepstore import CreateUserRequest, Memory, Message, Session, ZepClient
from langchain_zepstore.server import ApiKey, create_app
from langchain_zepstore.server.ui.charts import day_chart, size_label
from tests.support.pages import Browser, Shown, browser_of

pytestmark = pytest.mark.promise("the page shows users, the trash, searches and statistics")
HOSTILE = "<script>alert(1)</script>"


def add(store: ZepClient, user_id: str, session_id: str, *texts: str) -> None:
    store.memory.add_session(Session(session_id=session_id, user_id=user_id, title="About boats"))
    messages = [
        Message(role="user", content=text, uuid=f"{number} of {session_id}")
        for number, text in enumerate(texts)
    ]
    store.memory.add_memory(session_id, Memory(messages=messages))


@pytest.fixture
def user(page_store: ZepClient, user_id: str) -> str:
    """A user with metadata."""
    request = CreateUserRequest(
        user_id=user_id, email="ada@example.org", first_name="Ada", metadata={"plan": HOSTILE}
    )
    page_store.user.add(request)
    return user_id


def path_of(page: Shown, label: str) -> str:
    return next(each.attributes["href"] for each in page.all("a") if each.text == label)


async def test_users_are_listed_and_found_by_id(browser: Browser, user: str) -> None:
    listed = await browser.open("/ui/users")
    assert "ada@example.org" in listed.text
    found = await browser.press(listed, "Find", q=user)
    page = await browser.open(path_of(found, user))
    assert "ada@example.org" in page.text
    assert HOSTILE in page.text
    assert "<script>alert" not in page.source
    assert "There is no user" in (await browser.press(listed, "Find", q="unknown")).text


async def test_a_users_page_shows_sessions_counts_and_export(
    browser: Browser, page_store: ZepClient, user: str
) -> None:
    add(page_store, user, f"{user} 1", "a boat", "a lake")
    add(page_store, user, f"{user} 2", "a boat")
    page_store.memory.delete_memory(f"{user} 2")
    page = await browser.open(f"/ui/users/{user}")
    assert "About boats" in page.text
    counted = await browser.open(f"/ui/users/{user}", params={"count": "true"})
    assert "2 sessions and 3 messages" in counted.text
    exported = await browser.http.get(f"/ui/users/{user}/export")
    assert exported.text.count("\n") == 1 + 1 + 2 + 3
    assert "attachment" in exported.headers["content-disposition"]
    trash = await browser.open(path_of(page, "Trash"))
    assert trash.button("Restore")


async def test_an_unknown_user_is_not_found(browser: Browser) -> None:
    assert (await browser.open("/ui/users/unknown")).status == 404


async def test_erasing_a_user_requires_typing_the_id(
    browser: Browser, page_store: ZepClient, user: str
) -> None:
    add(page_store, user, f"{user} 1", "a boat")
    page = await browser.open(f"/ui/users/{user}")
    refused = await browser.press(page, "Erase", confirmation="another")
    assert refused.status == 400
    assert page_store.user.get(user)
    erased = await browser.press(page, "Erase", confirmation=user)
    assert "erased for good, with 1 sessions" in erased.text
    assert (await browser.press(page, "Erase", confirmation=user)).status == 404
    assert (await browser.open(f"/ui/users/{user}")).status == 404


async def test_the_trash_shows_expiry_dates_and_restores(
    browser: Browser, page_store: ZepClient, user: str
) -> None:
    add(page_store, user, user, "a boat")
    page_store.memory.delete_memory(user)
    page = await browser.open("/ui/trash", params={"user_id": user})
    end = datetime.now(UTC) + timedelta(days=30)
    assert "30 days after their deletion" in page.text
    assert f"goes for good {end:%d %b %Y}" in page.text
    restored = await browser.press(page, "Restore")
    assert restored.status == 200
    assert page_store.message.count(user) == 1


async def test_emptying_a_users_trash_requires_typing_the_confirmation(
    browser: Browser, page_store: ZepClient, user: str
) -> None:
    for session_id in (f"{user} 1", f"{user} 2"):
        add(page_store, user, session_id, "a boat")
    page_store.memory.delete_memory(f"{user} 1")
    page = await browser.open("/ui/trash", params={"user_id": user})
    assert (await browser.press(page, "Empty", confirmation="yes")).status == 400
    emptied = await browser.press(page, "Empty", confirmation="Empty the trash")
    assert "Removed for good: 1 sessions and 1 messages" in emptied.text
    assert page_store.message.count(f"{user} 2") == 1


async def test_matches_are_highlighted_and_link_to_their_message(
    browser: Browser, page_store: ZepClient, user: str
) -> None:
    add(page_store, user, user, f"{HOSTILE} a green boat & more", "a lake")
    start = await browser.open("/ui")
    asked = await browser.press(start, "Search", q="boats")
    assert "Name one" in asked.text
    found = await browser.open("/ui/search", params={"q": "boats", "user_id": user})
    assert [each.text for each in found.all("mark")] == ["boat"]
    assert f"{HOSTILE} a green boat & more" in found.text
    assert "<script>alert" not in found.source
    page = await browser.open(path_of(found, "About boats"))
    assert "a green boat" in page.text


async def test_summaries_and_titles_are_found(
    browser: Browser, page_store: ZepClient, user: str
) -> None:
    add(page_store, user, user, "a boat")
    by_title = {"q": "boats", "user_id": user, "scope": "sessions"}
    assert "About boats" in (await browser.open("/ui/search", params=by_title)).text
    without = {"q": "nothing of this", "user_id": user, "scope": "summary"}
    assert "Nothing was found" in (await browser.open("/ui/search", params=without)).text


async def test_the_overview_shows_counts(
    browser: Browser, page_store: ZepClient, user: str
) -> None:
    add(page_store, user, user, "a boat", "a lake")
    page = await browser.open("/ui/overview")
    captions = [each.text for each in page.all("caption")]
    assert captions == [
        *("Messages per day", "Sessions per user", "Messages per role", "Messages per size")
    ]
    assert page.all("svg", role="img")
    assert page.all("rect")
    assert "messages" in page.text


async def test_a_users_key_sees_only_that_user(page_store: ZepClient, user: str) -> None:
    add(page_store, user, user, "a boat")
    add_other = f"other of {user}"
    page_store.user.add(CreateUserRequest(user_id=add_other))
    add(page_store, add_other, add_other, "a boat")
    keys = [ApiKey("one", user_id=user), ApiKey("reader", read_only=True)]
    browser = browser_of(create_app(page_store, ui=True, api_keys=keys))
    page = await browser.open("/ui/login")
    await browser.press(page, "Sign in", api_key="one")
    assert add_other not in (await browser.open("/ui/users")).text
    assert (await browser.open(f"/ui/users/{add_other}")).status == 404
    found = await browser.open("/ui/search", params={"q": "boat"})
    assert len(found.all("mark")) == 1
    overview = await browser.open("/ui/overview")
    assert "1 message of 1 session" in overview.text
    assert "on disk" not in overview.text
    for wanted in ("/ui/search?q=boat", "/ui/trash"):
        other = await browser.open(wanted, params={"q": "boat", "user_id": add_other})
        assert not other.all("mark")
        assert not other.button("Restore")
    await browser.http.aclose()


async def test_a_read_only_key_sees_no_buttons_and_is_refused(
    page_store: ZepClient, user: str
) -> None:
    add(page_store, user, user, "a boat")
    page_store.memory.delete_memory(user)
    browser = browser_of(create_app(page_store, ui=True, api_keys=[ApiKey("r", read_only=True)]))
    await browser.press(await browser.open("/ui/login"), "Sign in", api_key="r")
    trash = await browser.open("/ui/trash", params={"user_id": user})
    page = await browser.open(f"/ui/users/{user}")
    for label in ("Restore", "Empty", "Erase"):
        assert not trash.button(label)
        assert not page.button(label)
    token = page.token
    for path in (f"/ui/users/{user}/erase", "/ui/trash/empty"):
        sent = {"token": token, "confirmation": user}
        assert (await browser.http.post(path, data=sent)).status_code == 403
    await browser.http.aclose()


def test_days_without_messages_are_gaps_in_the_chart() -> None:
    chart = day_chart({"2025-01-01": 5, "2026-01-01": 2, "2026-01-30": 4})
    assert chart is not None
    assert (f"{chart.first}", f"{chart.last}") == ("2026-01-01", "2026-01-30")
    assert (chart.most, chart.earlier) == (4, 5)
    assert [row.number for row in chart.rows] == [4, 2]
    assert chart.svg.count("<rect") == 2
    assert day_chart({}) is None


def test_sizes_are_labelled() -> None:
    assert [size_label(size) for size in (256, 4096, 1 << 20, 1 << 24)] == [
        *("up to 256 bytes", "up to 4 kB", "up to 1 MB", "over 1 MB")
    ]
