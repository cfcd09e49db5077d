"""A server without keys, and the pages of other sites in the browser of its machine."""

import json
from collections.abc import Iterator

import pytest

from tests.support.raw_http import Answer, Serve, serve


@pytest.fixture(scope="module")
def served(mongo_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    options = ("--url", mongo_url, "--database", "sites", "--cors-origin", "https://ours.example")
    with serve(tmp_path_factory.mktemp("serve"), *options) as process:
        yield process


def ask(served: Serve, method: str, path: str, host: str, *headers: str) -> Answer:
    body = json.dumps({"session_id": "from a form"}).encode() if method == "POST" else b""
    head = [f"{method} {path} HTTP/1.1", f"Host: {host}", f"Content-Length: {len(body)}", *headers]
    [answer] = served.ask("\r\n".join([*head, "Connection: close", "", ""]).encode() + body)
    return answer


@pytest.mark.promise("without keys, other sites' pages are refused")
@pytest.mark.parametrize("path", ["/api/v1/sessions", "/ui", "/metrics", "/healthz", "/docs"])
def test_a_request_with_a_foreign_host_is_refused(served: Serve, path: str) -> None:
    for host in ("evil.example", "localhost.evil.example:8000", "127.0.0.1.evil.example", "", "::"):
        assert ask(served, "GET", path, host).status == 403, host
    for host in ("localhost", "LOCALHOST:80", "127.0.0.1:1", "[::1]:1"):
        assert ask(served, "GET", path, host).status == 200, host


@pytest.mark.promise("without keys, other sites' pages are refused")
def test_a_form_of_another_site_changes_nothing(served: Serve) -> None:
    for origin in ("https://evil.example", "http://localhost:1", "null", "http://["):
        for kind in ("text/plain", "application/json"):
            sent = (f"Origin: {origin}", f"Content-Type: {kind}")
            answer = ask(served, "POST", "/api/v1/sessions", "127.0.0.1:8000", *sent)
            assert answer.status == 403, origin
    assert ask(served, "GET", "/api/v1/sessions", "localhost").data == []
    own = ("Origin: http://127.0.0.1:8000",)
    allowed = ("Origin: https://ours.example",)
    assert ask(served, "POST", "/api/v1/sessions", "127.0.0.1:8000", *own).status == 201
    assert ask(served, "POST", "/api/v1/sessions", "127.0.0.1:8000", *allowed).status == 400
    assert ask(served, "GET", "/api/v1/sessions", "localhost", "Origin: null").status == 200
