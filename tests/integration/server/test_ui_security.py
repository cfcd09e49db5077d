"""Access to the page: sign-ins, forms of other sites, hosts, and keys of one user."""

from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from langchain_zepstore import ZepClient
from langchain_zepstore.models import Memory, Message
from langchain_zepstore.server import ApiKey, create_app
from langchain_zepstore.server.ui import security
from langchain_zepstore.server.ui.routes.trash import CONFIRMATION
from tests.support.pages import Browser, browser_of

KEY, READER, ALICES = "whole-key", "reader-key", "alices-key"
pytestmark = pytest.mark.promise("the page shows a key its own data, and refuses other sites")


@pytest.fixture(scope="module")
def locked_app(page_store: ZepClient) -> FastAPI:
    """The application with the page, for three keys."""
    keys = [KEY, ApiKey(READER, read_only=True), ApiKey(ALICES, user_id="alice")]
    return create_app(page_store, ui=True, api_keys=keys)


@pytest.fixture
async def locked(locked_app: FastAPI) -> AsyncIterator[Browser]:
    """A browser on the page with keys, where nobody is signed in."""
    browser = browser_of(locked_app)
    async with browser.http:
        yield browser


async def sign_in(browser: Browser, key: str) -> None:
    page = await browser.open("/ui/login")
    shown = await browser.press(page, "Sign in", api_key=key)
    assert shown.button("Sign out")


async def test_the_root_redirects_to_the_ui(browser: Browser) -> None:
    page = await browser.open("/")
    assert (page.status, page.url.path) == (200, "/ui")


async def test_every_answer_has_the_headers(browser: Browser) -> None:
    for path in ("/ui", "/ui/nothing", "/ui/login", "/ui/sessions/unknown"):
        headers = (await browser.http.get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


async def test_errors_outside_the_ui_have_the_headers(page_store, monkeypatch) -> None:
    app = create_app(page_store, ui=True, api_keys=(), max_body_bytes=1000)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        monkeypatch.setattr(page_store.memory, "arecent_sessions", None)
        answers = {
            405: await http.put("/ui"),
            413: await http.post("/ui/login", content=b"x" * 1001),
            431: await http.get("/ui", headers={"cookie": "x" * 40_000}),
            500: await http.get("/ui"),
        }
    for status, answer in answers.items():
        assert answer.status_code == status
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_pages_contain_nothing_the_policy_forbids(browser: Browser) -> None:
    page = await browser.open("/ui")
    assert not [each for each in page.all() if "style" in each.attributes or each.name == "style"]
    assert not [name for each in page.all() for name in each.attributes if name.startswith("on")]
    assert all(each.attributes["src"].startswith("/ui/") for each in page.all("script"))


async def test_a_sign_in_returns_to_the_requested_page(locked: Browser) -> None:
    page = await locked.open("/ui?user_id=alice")
    assert page.url.path == "/ui/login"
    shown = await locked.press(page, "Sign in", api_key=KEY)
    assert (shown.url.path, shown.url.query) == ("/ui", b"user_id=alice")


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "/ui\\@evil", "x"])
async def test_a_sign_in_never_redirects_to_another_site(locked: Browser, wanted) -> None:
    page = await locked.open("/ui/login", params={"next": wanted})
    shown = await locked.press(page, "Sign in", api_key=KEY)
    assert str(shown.url) == "http://localhost/ui"


async def test_a_wrong_key_is_refused(locked: Browser) -> None:
    page = await locked.open("/ui/login")
    shown = await locked.press(page, "Sign in", api_key="wrong")
    assert shown.status == 401
    assert "none of the server's API keys" in shown.text
    assert "set-cookie" not in shown.headers


@pytest.mark.parametrize(("base", "is_secure"), [("http://localhost", False), ("https://x", True)])
async def test_the_cookie_is_http_only_and_does_not_contain_the_key(
    page_store, base, is_secure
) -> None:
    browser = browser_of(create_app(page_store, ui=True, api_keys=[KEY]), base)
    page = await browser.open("/ui/login")
    form = {"token": page.token, "api_key": KEY}
    answer = await browser.http.post("/ui/login", data=form)
    cookie = answer.headers["set-cookie"].lower()
    assert answer.status_code == 303
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/ui" in cookie
    assert ("; secure" in cookie) == is_secure
    assert KEY not in cookie
    assert security.ApiKey(KEY).digest.hex() not in cookie


async def test_forged_and_expired_cookies_are_refused(locked: Browser, monkeypatch) -> None:
    await sign_in(locked, KEY)
    cookie = locked.http.cookies[security.COOKIE]
    monkeypatch.setattr(security, "MAX_AGE", -1)
    assert (await locked.open("/ui")).url.path == "/ui/login"
    monkeypatch.undo()
    for forged in (cookie[:-2] + "xx", "x" + cookie, "", "a.b.c"):
        locked.http.cookies.clear()
        locked.http.cookies.set(security.COOKIE, forged, path="/ui")
        assert (await locked.open("/ui")).url.path == "/ui/login", forged


async def test_removing_a_key_ends_its_sign_ins(page_store: ZepClient, monkeypatch) -> None:
    monkeypatch.setenv(security.SECRET_VARIABLE, "kept over restarts")
    first = browser_of(create_app(page_store, ui=True, api_keys=[KEY, READER]))
    await sign_in(first, KEY)
    for keys, path in (([KEY, READER], "/ui"), ([READER], "/ui/login")):
        again = browser_of(
            create_app(page_store, ui=True, api_keys=keys), cookies=first.http.cookies
        )
        assert (await again.open("/ui")).url.path == path


@pytest.mark.parametrize("key", [KEY, READER])
async def test_signing_out_ends_the_sign_in(locked: Browser, key) -> None:
    await sign_in(locked, key)
    page = await locked.press(await locked.open("/ui"), "Sign out")
    assert page.url.path == "/ui/login"
    assert (await locked.open("/ui")).url.path == "/ui/login"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "", "127.0.0.1.nip.io"])
async def test_a_foreign_host_is_refused_without_keys(browser: Browser, host) -> None:
    page = await browser.open("/ui", headers={"host": host})
    assert page.status == 403
    assert "at addresses only" in page.text


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "10.0.0.1"])
async def test_ip_addresses_are_accepted_without_keys(browser: Browser, host) -> None:
    assert (await browser.open("/ui", headers={"host": host})).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "null"},
    ],
)
async def test_forms_of_other_sites_are_refused(locked: Browser, headers) -> None:
    await sign_in(locked, KEY)
    form = {"token": (await locked.open("/ui")).token}
    answer = await locked.http.post("/ui/logout", data=form, headers=headers)
    assert answer.status_code == 403
    assert "another site" in answer.text


@pytest.mark.parametrize("token", [None, "", "forged", "é"])
async def test_a_form_without_its_token_is_refused(locked: Browser, token) -> None:
    await sign_in(locked, KEY)
    answer = await locked.http.post("/ui/logout", data={} if token is None else {"token": token})
    assert answer.status_code == 403


async def test_a_form_of_another_sign_in_is_refused(locked: Browser) -> None:
    await sign_in(locked, READER)
    form = {"token": (await locked.open("/ui")).token}
    locked.http.cookies.clear()
    await sign_in(locked, KEY)
    answer = await locked.http.post("/ui/logout", data=form)
    assert answer.status_code == 403


async def test_a_users_key_shows_only_that_user(locked: Browser, page_store: ZepClient) -> None:
    own, other = f"own {uuid4()}", f"other {uuid4()}"
    said = Memory(messages=[Message(role="user", content="secret")])
    for session_id, user_id in ((own, "alice"), (other, "bob")):
        await page_store.for_user(user_id).memory.aadd_memory(session_id, said)
    await sign_in(locked, ALICES)
    page = await locked.open("/ui")
    assert own in page.text
    assert other not in page.text


def all_routes(app: FastAPI) -> list[tuple[str, str]]:
    """Return the method and the path of each of the page's routes but those of signing in."""

    def found(routes: Any) -> Iterator[tuple[str, str]]:
        for route in routes:
            if isinstance(route, APIRoute):
                yield from ((method, route.path) for method in route.methods)
            elif router := getattr(route, "original_router", None):
                yield from found(router.routes)

    return [
        each for each in found(app.routes) if each[1].startswith("/ui") and "log" not in each[1]
    ]


async def test_no_route_exceeds_the_rights_of_its_key(locked_app, page_store, locked) -> None:
    bob, live, deleted = (f"{name} {uuid4()}" for name in ("bob", "live", "deleted"))
    memory = page_store.for_user(bob).memory
    for session_id in (live, deleted):
        said = [Message(role="user", content="of bob", uuid=f"m {session_id}")]
        memory.add_memory(session_id, Memory(messages=said))
    memory.delete_memory(deleted)
    routes = all_routes(locked_app)
    posts = [path for method, path in routes if method == "POST"]
    assert len(posts) > 10
    assert len(routes) > 25
    form = {"title": "x", "tags": "x", "content": "x", "feedback": "up", "user_id": bob}
    for key, methods in ((READER, ["POST"]), (ALICES, ["GET", "POST"])):
        locked.http.cookies.clear()
        await sign_in(locked, key)
        form["token"] = (await locked.open("/ui")).token
        for method, path in routes:
            for session_id in (live, deleted):
                ids = {"session_id": session_id, "message_id": f"m {session_id}", "user_id": bob}
                ids |= {"mark": "pin", "index": "0", "name": "x", "rest:path": "x"}
                where = path
                for name, value in ids.items():
                    where = where.replace(f"{{{name}}}", value)
                confirmation = bob if "/users/" in path else session_id
                form["confirmation"] = CONFIRMATION if "/trash/" in path else confirmation
                if method in methods:
                    sent = {"data": form} if method == "POST" else {"params": {"user_id": bob}}
                    answer = await locked.http.request(method, where, **sent)
                    assert answer.status_code == 403 or key == ALICES, where
                    assert "of bob" not in answer.text, where
                    assert answer.status_code < 500, where
    assert page_store.message.count(live) == 1
    assert memory.get_session(live).title is None
    memory.undelete_session(deleted)
    assert page_store.message.count(deleted) == 1


async def test_a_notice_is_not_shown_to_another_sign_in(
    locked: Browser, page_store: ZepClient
) -> None:
    session_id = f"secret {uuid4()}"
    said = Memory(messages=[Message(role="user", content="secret")])
    page_store.memory.add_memory(session_id, said)
    await sign_in(locked, KEY)
    page = await locked.open(f"/ui/sessions/{session_id}")
    form = {"token": page.token}
    await locked.http.post(f"/ui/sessions/{session_id}/delete", data=form)
    page = await locked.press(await locked.open("/ui/login"), "Sign in", api_key=READER)
    assert "moved to the trash" not in page.text


async def test_the_api_still_requires_a_key(locked: Browser) -> None:
    await sign_in(locked, KEY)
    answer = await locked.http.get("/api/v1/sessions")
    assert answer.status_code == 401


async def test_the_ui_works_below_a_root_path(page_store: ZepClient) -> None:
    app = create_app(page_store, ui=True, api_keys=[KEY])
    transport = httpx.ASGITransport(app=app, root_path="/deep")
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        browser = Browser(http)
        page = await browser.open("/deep/ui?tag=x")
        assert page.url.path == "/deep/ui/login"
        page = await browser.press(page, "Sign in", api_key=KEY)
        assert (page.status, page.url.path, page.url.query) == (200, "/deep/ui", b"tag=x")
        links = [each.attributes["href"] for each in page.all("a")]
        assert all(link.startswith(("/deep/ui", "#")) for link in links)
        assert (await browser.open("/deep/")).url.path == "/deep/ui"
        for link in page.all("link") + page.all("script"):
            url = link.attributes.get("href") or link.attributes["src"]
            assert (await http.get(url)).status_code == 200


async def test_the_ui_is_off_by_default(page_store: ZepClient) -> None:
    transport = httpx.ASGITransport(app=create_app(page_store, api_keys=()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        assert (await http.get("/ui")).status_code == 404
        assert (await http.get("/")).status_code == 200
