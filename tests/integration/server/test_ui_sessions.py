"""The list of sessions on the page: in what order, and how it is filtered."""

from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_zepstore import ZepClient
from langchain_zepstore.managers.search import Searches
from langchain_zepstore.models import Session
from tests.support.pages import Browser, Shown

pytestmark = pytest.mark.promise("the page lists sessions, filtered, the last active first")


@pytest.fixture
def user_id(page_store: ZepClient) -> str:
    """A user with four sessions; the last one is archived."""
    user_id = f"lister {uuid4()}"
    for number, word in enumerate(("first", "second", "third", "fourth")):
        session_id = f"{word} {uuid4()}"
        said = [HumanMessage(f"question {number}"), AIMessage(f"answer **{number}**")]
        page_store.chat_history(session_id, user_id=user_id).add_messages(said)
        page_store.memory.organize_session(
            session_id,
            title=word,
            pinned=number == 1,
            archived=number == 3,
            tags=[word, f"of {user_id}"],
            metadata={"number": number, "plan": {"name": "pro"}, "word": word},
        )
    return user_id


def titles(page: Shown) -> list[str]:
    assert page.status == 200, page.text
    return [each.all("h2")[0].text for each in page.all("li", class_="session")]


async def test_sessions_are_sorted_by_last_activity(browser: Browser, user_id) -> None:
    page = await browser.open("/ui", params={"user_id": user_id})
    assert titles(page) == ["third", "second", "first"]
    first = page.all("li", class_="session")[0]
    assert "ai: answer **2**" in first.text
    assert "2 messages" in first.text
    assert first.all("time")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"show": "all"}, ["fourth", "third", "second", "first"]),
        ({"show": "archived"}, ["fourth"]),
        ({"show": "pinned"}, ["second"]),
        ({"tag": "third"}, ["third"]),
        ({"metadata": "word=first"}, ["first"]),
        ({"metadata": '{"plan": {"name": "pro"}, "number": 1}'}, ["second"]),
        ({"metadata": "word = none"}, []),
        ({"since": "2020-01-01", "until": "2020-12-31"}, []),
        ({"since": "2020-01-01"}, ["third", "second", "first"]),
        ({"q": "second"}, ["second"]),
        ({"q": "fourth"}, []),
        ({"q": "fourth", "show": "all"}, ["fourth"]),
        ({"q": "third", "tag": "first"}, []),
    ],
)
async def test_filters_show_only_matching_sessions(
    browser: Browser, user_id, filters, expected
) -> None:
    page = await browser.open("/ui", params={"user_id": user_id, **filters})
    assert titles(page) == expected
    form = page.form("Filter")
    shown = {each.attributes["name"]: each.attributes.get("value") for each in form.all("input")}
    for name, value in filters.items():
        if name != "show":
            assert shown[name] == value


async def test_a_query_searches_the_sessions_of_all_users(browser: Browser, user_id) -> None:
    page = await browser.open("/ui", params={"q": f'"of {user_id}"'})
    assert {"first", "second", "third"} >= set(titles(page)) > set()


@pytest.mark.parametrize("metadata", ["{", "{1}", '{"a": NaN}', " {]"])
async def test_invalid_filters_are_refused(browser: Browser, metadata) -> None:
    page = await browser.open("/ui", params={"metadata": metadata})
    assert page.status == 400
    assert "Metadata must be a JSON object" in page.text
    assert (await browser.open("/ui", params={"since": "x"})).status == 400
    assert (await browser.open("/ui", params={"cursor": "x"})).status == 400


async def test_the_list_is_paged_by_scrolling(browser: Browser, page_store) -> None:
    user_id = f"endless {uuid4()}"
    ids = [f"{number} {user_id}" for number in range(65)]
    for session_id in ids:
        page_store.for_user(user_id).memory.add_session(Session(session_id=session_id))
    page = await browser.open("/ui", params={"user_id": user_id})
    seen = titles(page)
    while more := page.all("li", class_="more"):
        link = more[0].all("a")[0].attributes["href"]
        part = Shown(await browser.http.get(link, headers={"hx-request": "true"}))
        assert not part.all("html")
        page = await browser.open(link)
        assert titles(part) == titles(page)
        seen += titles(page)
    assert seen == ids[::-1]


async def test_an_empty_list_shows_a_message(browser: Browser) -> None:
    page = await browser.open("/ui", params={"user_id": f"nobody {uuid4()}"})
    assert "No session matches these filters." in page.text
    assert (await browser.open("/ui/")).url.path == "/ui"


async def test_a_session_deleted_after_the_search_is_omitted(
    browser: Browser, page_store: ZepClient, user_id, monkeypatch
) -> None:
    search = Searches.asearch

    async def then_deleted(self, *arguments, **options):
        found = await search(self, *arguments, **options)
        page_store.memory.delete_memory(found[0].session_id)
        return found

    monkeypatch.setattr(Searches, "asearch", then_deleted)
    page = await browser.open("/ui", params={"q": "first second", "user_id": user_id})
    assert len(titles(page)) == 1
