"""Malformed and hostile requests: each is answered with 2xx or 4xx, and nothing breaks."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from itertools import islice, product
from typing import Any

import hypothesis
import pytest

from langchain_zepstore import Memory, Message, ZepClient
from langchain_zepstore.server import create_app
from tests.support.raw_http import TELLING, Answer, ask, in_path, note

DEEP = 100_000


@pytest.fixture
async def app(mongo_url: str, database_name: str) -> AsyncIterator[Any]:
    async with ZepClient(mongo_url, database=database_name) as client:
        await client.memory.aadd_memory(
            "s", Memory(messages=[Message(role="user", content="hello", uuid="m")])
        )
        yield create_app(client, api_keys=())


@pytest.fixture
def figure(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], None]:
    return partial(note, request, capsys)


def check(answer: Answer, asked: Any, *, refused: bool = False) -> None:
    assert 200 <= answer.status < 300 or 400 <= answer.status < 500, (asked, answer)
    assert not refused or answer.status in {400, 404}, (asked, answer)
    assert answer.status < 400 or len(answer.body) < 10_000, (asked, answer)


# Bodies.

BODIES = [
    ("POST", "/api/v1/sessions"),
    ("PATCH", "/api/v1/sessions/s"),
    ("POST", "/api/v1/sessions/s/memory"),
    ("PATCH", "/api/v1/sessions/s/messages/m"),
    ("POST", "/api/v1/sessions/s/search"),
    ("POST", "/api/v1/list-sessions"),
    ("POST", "/api/v1/user"),
    ("PATCH", "/api/v1/user/u"),
    ("POST", "/api/v1/purge"),
    ("POST", "/api/v2/users"),
    ("POST", "/api/v2/sessions/s/memory"),
]
NO_JSON = [
    b"",
    b" ",
    b"\0",
    b"{",
    b"}",
    b"nonsense",
    b"'x'",
    b"{'a': 1}",
    b"{} {}",
    b'{"a": 1,}',
    b'{"a"}',
    b'{"metadata": NaN}',
    b'{"metadata": {"x": NaN}}',
    b'{"metadata": {"x": Infinity}}',
    b'{"metadata": {"x": -Infinity}}',
    b"\xef\xbb\xbf{}",
    b'{"session_id": "\xff\xfe"}',
    b'{"session_id": "\xed\xa0\x80"}',
    b'{"session_id": "\\ud800"}',
    b'{"metadata": {"\\udfff": 1}}',
    b'{"metadata": {"x": "\\ud800\\ud800"}}',
    '{"session_id": "utf-16"}'.encode("utf-16"),
    b"[" * DEEP,
    b"[" * DEEP + b"]" * DEEP,
    b'{"metadata": ' * DEEP + b"1" + b"}" * DEEP,
    b'{"messages": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    b"\x1f\x8b\x08\x00",
    b"--x\r\nContent-Disposition: form-data\r\n\r\n",
    b"a=b&c=d",
]
NO_OBJECT = [b"null", b"[]", b"[{}]", b"1", b"true", b'"text"', b"1e999", b"9" * 5000]


@pytest.mark.promise("hostile input meets no error of the server")
@pytest.mark.parametrize("content_type", ["application/json", "application/vnd.zepstore+json"])
async def test_bodies_that_are_not_json_objects_are_refused(app: Any, content_type: str) -> None:
    headers = [("content-type", content_type)]
    for method, path in BODIES:
        for body in (*NO_JSON, *NO_OBJECT):
            answer = await ask(app, method, path, body, headers=headers)
            check(answer, (method, path, body[:50]), refused=True)


async def test_a_body_is_parsed_as_json_for_any_content_type(app: Any) -> None:
    for kind in ("", "text/plain", "application/x-www-form-urlencoded", "a/b; charset=utf-16"):
        for number, encoding in enumerate(("gzip", "identity")):
            answer = await ask(
                app,
                "POST",
                "/api/v1/sessions",
                {"session_id": f"typed {kind} {number}"},
                headers=[("content-type", kind), ("content-encoding", encoding)],
            )
            assert answer.status == 201


WRONG: list[bytes] = [
    *(b"null", b"true", b"0", b"-1", b"1.5", b"1e999", b"-1e999", b"1e-999", b"-0.0"),
    *(b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809", b"1e308"),
    *(b"1" + b"0" * 5000, b"-1" + b"0" * 5000, b"1" + b"0" * 400),
    *(b'""', b'" "', b'"x"', b'"\\u0000"', b'"x\\u0000y"', b'"' + b"x" * 5000 + b'"'),
    *(b'"\\n"', b'"' + "🚂".encode() * 2000 + b'"', b'"$where"', b'"a.b"', b'"\\u202e"'),
    *(b"[]", b"[null]", b"[[]]", b"[{}]", b'[""]', b'[["a"]]', b"[[[]]]", b'[{"role": 1}]'),
    *(b"{}", b'{"": 1}', b'{"a\\u0000": 1}', b'{"$ne": ""}', b'{"$gt": ""}', b'{"a.b": {"$c": 1}}'),
    *(b'{"$where": "sleep(10000)"}', b'{"$ref": "x", "$id": 1}', b'{"$oid": "0"}'),
    *(b'{"$bytes": "!"}', b'{"$bytes": 1}', b'{"$datetime": "x"}', b'{"$float": "x"}'),
    *(b'{"$datetime": "0001-01-01T00:00:00+14:00"}', b'{"$datetime": "2026-01-01T00:00:00"}'),
    *(b'{"$float": "1e999"}', b'{"$$float": "1"}', b'{"$float": "nan"}', b'{"x": {"$bytes": ""}}'),
    *(b'{"a": 1, "a": 2}', b'{"__proto__": {}}', b'{"system": {"x": 1}}', b'{"metadata": {}}'),
    *(b'"2026-01-31"', b'"0001-01-01T00:00:00+23:59"', b'"9999-12-31T23:59:59-23:59"'),
    *(b'"2026-13-45T99:99:99Z"', b'"0000-00-00T00:00:00Z"', b'"2026-01-31T12:00:60Z"'),
    *(b"[" * 150 + b"]" * 150, b'{"a":' * 17 + b"1" + b"}" * 17, b'{"a":' * 90 + b"1" + b"}" * 90),
    b"{" + b",".join(b'"k%d": 1' % n for n in range(2000)) + b"}",
]
FIELDS = {
    "session": ["session_id", "user_id", "metadata", "unset", "uuid", "id", "created_at"],
    "message": ["role", "content", "uuid", "created_at", "token_count", "metadata", "langchain"],
    "memory": ["messages", "metadata", "user_id", "session_metadata", "summary"],
    "listing": ["limit", "cursor", "user_id", "metadata", "include_deleted"],
    "user": ["user_id", "email", "first_name", "last_name", "metadata", "uuid"],
    "search": ["text", "metadata", "search_scope", "search_type", "mmr_lambda", "limit"],
    "purge": ["older_than"],
}
KINDS = {
    "/search": "search",
    "/memory": "memory",
    "/list-sessions": "listing",
    "/purge": "purge",
    "/user": "user",
    "/users": "user",
    "/u": "user",
}


def objects(path: str) -> Iterator[bytes]:
    """Yield bodies, each a good one with one field that is wrong, perhaps."""
    kind = next((kind for end, kind in KINDS.items() if path.endswith(end)), "session")
    good: dict[str, bytes] = {
        "session": {"session_id": b'"made"'},
        "user": {"user_id": b'"made"'},
        "memory": {"messages": b'[{"role": "user", "content": "x"}]'},
        "search": {"text": b'"hello"', "search_type": b'"text"'},
    }.get(kind, {})
    for field in FIELDS[kind]:
        for value in WRONG:
            fields = good | {field: value}
            yield b"{" + b", ".join(b'"%s": %s' % (k.encode(), v) for k, v in fields.items()) + b"}"
    if kind == "memory":
        said = {"role": b'"user"', "content": b'"x"'}
        for field in FIELDS["message"]:
            for value in WRONG:
                fields = said | {field: value}
                one = b", ".join(b'"%s": %s' % (k.encode(), v) for k, v in fields.items())
                yield b'{"messages": [{%s}]}' % one


@pytest.mark.promise("hostile input meets no error of the server")
async def test_wrong_values_in_every_field_are_accepted_or_refused(
    app: Any, long: bool, figure: Callable[[str], None]
) -> None:
    statuses: Counter[int] = Counter()
    broken = []
    for method, path in BODIES:
        for number, body in enumerate(objects(path)):
            if number % (1 if long else 3):
                continue
            kinds = ("application/vnd.zepstore+json", "application/json")
            for kind in kinds if long else kinds[number % 2 :][:1]:
                asked = (method, path, body[:150], kind)
                try:
                    answer = await ask(app, method, path, body, headers=[("content-type", kind)])
                    check(answer, asked)
                    statuses[answer.status] += 1
                except Exception as error:  # noqa: BLE001 - all of them, in one run
                    broken.append(f"{asked}: {error!r:.150}")
    told = ", ".join(f"{count} of {status}" for status, count in sorted(statuses.items()))
    figure(f"{statuses.total()} bodies: {told}; {len(broken)} broken")
    assert broken == []
    assert statuses[400] > 500
    assert statuses[200] + statuses[201] > 200
    # What was taken can be read.
    for path in ("sessions/s/memory", "sessions/s/messages.ndjson", "sessions", "user"):
        for accept in ("application/json", "application/vnd.zepstore+json"):
            answer = await ask(app, "GET", f"/api/v1/{path}", headers=[("accept", accept)])
            assert answer.status == 200


@pytest.mark.parametrize("operator", [{"$ne": ""}, {"$gt": ""}, {"$regex": ".*"}, {"$exists": 1}])
async def test_query_operators_are_not_ids_or_filters(app: Any, operator: Any) -> None:
    for method, path, body in (
        ("POST", "/api/v1/sessions", {"session_id": operator}),
        ("POST", "/api/v1/sessions", {"session_id": "x", "user_id": operator}),
        ("POST", "/api/v1/user", {"user_id": operator}),
        ("POST", "/api/v1/list-sessions", {"user_id": operator}),
        ("PATCH", "/api/v1/sessions/s", {"user_id": operator}),
        ("POST", "/api/v1/sessions/s/memory", {"messages": [{"uuid": operator}]}),
    ):
        assert (await ask(app, method, path, body)).status == 400
    text = in_path(json.dumps(operator))
    for path in (f"sessions/{text}", f"sessions/s/messages/{text}", f"user/{text}"):
        assert (await ask(app, "GET", f"/api/v1/{path}")).status == 404
    for listing in (
        f"sessions?user_id={text}",
        "sessions?user_id[$ne]=x",
        f"sessions?metadata={text}",
    ):
        answer = await ask(app, "GET", f"/api/v1/{listing}")
        names = [each["session_id"] for each in answer.data]
        assert names == (["s"] if "[" in listing else [])
    await ask(app, "PATCH", "/api/v1/sessions/s", {"metadata": {"is": operator}})
    for wanted, names in (({"is": operator}, ["s"]), ({"session_id": operator}, [])):
        answer = await ask(app, "POST", "/api/v1/list-sessions", {"metadata": wanted})
        assert [each["session_id"] for each in answer.data] == names


@pytest.mark.parametrize(
    "moment",
    [
        *("2026-01-31", "20260131T120000Z", "yesterday", "", " "),
        *("2026-01-31T12:00Z", "2026-W05-6T12:00:00Z", "1738324800", "2026-01-31T24:00:00Z"),
        *("2026-02-30T12:00:00Z", "2026-01-31T12:00:00+0100", "+02026-01-31T12:00:00Z"),
        *(
            "2026-01-31T12:00:00Z ",
            "2026-01-31T12:00:00Z\n",
            "\uff12\uff10\uff12\uff16-01-31T12:00:00Z",
        ),
        *("2026-01-31T12:00:00+25:00", "0000-01-01T00:00:00Z", 1738324800, 1.5, True, [], {}),
        *("0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-01:00"),
    ],
)
async def test_a_date_outside_rfc_3339_is_refused(app: Any, moment: Any) -> None:
    said = {"role": "user", "content": "x", "created_at": moment}
    answer = await ask(app, "POST", "/api/v1/sessions/s/memory", {"messages": [said]})
    assert answer.status == 400
    assert "messages[0].created_at" in answer.text


@pytest.mark.parametrize(
    ("moment", "kept"),
    [
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("2026-01-31t12:00:00z", "2026-01-31T12:00:00Z"),
        ("2026-01-31T12:00:00.123456", "2026-01-31T12:00:00.123000Z"),
        ("2026-01-31 12:00:00.123456+01:30", "2026-01-31T10:30:00.123000Z"),
        ("2026-01-31T12:00:00", "2026-01-31T12:00:00Z"),
        ("1969-07-20T20:17:40.5-00:00", "1969-07-20T20:17:40.500000Z"),
    ],
)
async def test_a_date_within_rfc_3339_is_kept(app: Any, moment: str, kept: str) -> None:
    said = {"role": "user", "content": "x", "uuid": "dated", "created_at": moment}
    answer = await ask(app, "POST", "/api/v1/sessions/s/memory", {"messages": [said]})
    assert answer.status == 200, answer
    answer = await ask(app, "GET", "/api/v1/sessions/s/messages/dated")
    assert answer.data["created_at"] == kept


# Paths and parameters.

IDS = [
    *("%2F", "%2f%2f", "%00", "a%00b", "%ff", "%c3%28", "%ed%a0%80", "..", ".", "%2e%2e", "%2E"),
    *("..%2f..%2fetc", "+", "a+b", "%2B", "%20", "%", "%z", "%%", "%2", "%25", "%2525", "a;b=c"),
    *("x" * 5000, "%F0%9F%9A%82" * 100, "%F0%9F%9A%82" * 1000, "%0d%0aSet-Cookie:x", "*", "~"),
    *("{}", "%7B%22$ne%22:%22%22%7D", "$where", "'", "%22", "<script>", "\\", "|", "memory"),
    *("search", "messages.ndjson", "null", "None", "0", "-1", "%F0%9F", "%C0%AF", ":", "@", ","),
]
ROUTES = [
    ("GET", "/api/v1/sessions/{}"),
    ("PATCH", "/api/v1/sessions/{}"),
    ("POST", "/api/v1/sessions/{}/memory"),
    ("GET", "/api/v1/sessions/{}/memory"),
    ("GET", "/api/v1/sessions/{}/messages"),
    ("GET", "/api/v1/sessions/{}/messages.ndjson"),
    ("GET", "/api/v1/sessions/s/messages/{}"),
    ("PATCH", "/api/v1/sessions/s/messages/{}"),
    ("DELETE", "/api/v1/sessions/s/messages/{}"),
    ("POST", "/api/v1/sessions/s/messages/{}/undelete"),
    ("DELETE", "/api/v1/sessions/{}/memory"),
    ("POST", "/api/v1/sessions/{}/undelete"),
    ("GET", "/api/v1/user/{}"),
    ("PATCH", "/api/v1/user/{}"),
    ("DELETE", "/api/v1/user/{}"),
    ("GET", "/api/v1/user/{}/sessions"),
    ("GET", "/api/v2/sessions/{}"),
    ("GET", "/api/v2/users/{}"),
    ("GET", "/{}"),
    ("GET", "/api/{}"),
    ("GET", "/api/v1/{}"),
    ("GET", "/api/v1/collection/{}"),
]


async def test_any_id_in_a_path_is_handled(app: Any, long: bool) -> None:
    for number, (method, path) in enumerate(ROUTES):
        for session_id in IDS if long else IDS[number % 2 :: 2]:
            for body in (None, {"messages": [{"role": "user", "content": "x"}]}):
                raw = path.format(session_id).encode()
                answer = await ask(app, method, raw, body)
                if answer.status == 501:
                    assert "collection" in path
                    continue
                check(answer, (method, path, session_id))
    raw = [b"/api/v1/sessions/\xff\xfe", "/api/v1/sessions/é".encode(), b"/\xff", b"*", b"", b"//"]
    for path_bytes in raw:
        check(await ask(app, "GET", path_bytes), path_bytes)
    for missing in (b"%00", b"a%00b", b"%ff", b"%c3%28", b"x" * 5000):
        for method, path in ROUTES[:16]:
            answer = await ask(app, method, path.encode().replace(b"{}", missing), {})
            assert answer.status == 400, (method, path, missing, answer)


NUMBERS = [
    *("", "0", "-1", "1", "+1", "%2B1", "1.0", "1.5", "1e3", "1e999", "NaN", "inf", "null", "x"),
    *("0x10", "1_000", "%201", "\uff11", "true", "2147483647", "2147483648", "9223372036854775806"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775808", "9" * 5000, "%00"),
    *("%ff", "[]", "1&limit=2&cursor=3&lastn=4", "Wzk5OTk5OTk5OTk5OTk5OTk5OTksMV0", "WzEsMV0"),
    *("W251bGwsMV0", "WzEsMV0=", "🚂", "%F0%9F%9A%82", "IiI", "W10", "..", "-9" * 2000),
]


async def test_any_limit_and_cursor_is_handled(app: Any) -> None:
    for path, names in (
        ("sessions", ["limit", "cursor", "user_id", "metadata", "include_deleted"]),
        ("sessions/s", ["include_deleted"]),
        ("sessions/s/memory", ["lastn"]),
        ("sessions/s/messages", ["limit", "cursor"]),
        ("sessions/s/messages.ndjson", ["limit", "after"]),
        ("recent-sessions", ["limit", "cursor", "user_id"]),
        ("user", ["limit", "cursor"]),
    ):
        for name in names:
            for number in NUMBERS:
                asked = f"/api/v1/{path}?{name}={number}"
                answer = await ask(app, "GET", asked)
                check(answer, asked)
                if number in {"-1", "1.5", "x", "1e3", "NaN", "9" * 5000} and name != "user_id":
                    assert answer.status == 400, (asked, answer)
    largest = "limit=9223372036854775807&cursor=9223372036854775807"
    for path in ("sessions", "sessions/s/messages", "user"):
        check(await ask(app, "GET", f"/api/v1/{path}?{largest}"), path)
    for limit in NUMBERS:
        asked = f"/api/v1/sessions/s/search?limit={limit}"
        check(await ask(app, "POST", asked, {"text": "hello", "search_type": "text"}), asked)


async def test_unknown_methods_are_refused(app: Any) -> None:
    for method in ("PUT", "TRACE", "CONNECT", "HEAD", "OPTIONS", "BREW", "get", "X" * 1000):
        for path in ("/api/v1/sessions", "/api/v1/sessions/s/memory", "/healthz", "/nowhere", "*"):
            answer = await ask(app, method, path)
            assert answer.status in {404, 405}, (method, path, answer)


@pytest.mark.parametrize(
    "headers",
    [
        [("transfer-encoding", "chunked"), ("content-length", "2")],
        *([("transfer-encoding", each)] for each in ("gzip", "gzip, chunked", "identity", "")),
        [("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
    ],
)
async def test_a_body_with_ambiguous_length_is_refused(
    app: Any, headers: list[tuple[str, str]]
) -> None:
    answer = await ask(app, "POST", "/api/v1/sessions", b"{}", headers=headers)
    assert answer.status == 400
    assert answer.headers["connection"] == "close"


# What the description says.


@pytest.mark.promise("hostile input meets no error of the server")
def test_generated_requests_cause_no_server_error(
    mongo_url: str, database_name: str, long: bool, figure: Callable[[str], None]
) -> None:
    import schemathesis  # takes half a second, which other processes of a run are spared

    statuses: Counter[int] = Counter()
    wrong: list[str] = []
    settings = hypothesis.settings(
        max_examples=500 if long else 6,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    with ZepClient(mongo_url, database=database_name) as client:
        schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(client, api_keys=()))
        cases = product(schema.get_all_operations(), schemathesis.GenerationMode)
        for result, mode in islice(cases, 0, None, 1 if long else 9):

            @settings
            @hypothesis.given(case=result.ok().as_strategy(generation_mode=mode))
            def ask_it(case: schemathesis.Case) -> None:
                answer = case.call()
                statuses[answer.status_code] += 1
                is_error = answer.status_code >= 500 and answer.status_code != 501
                is_bare = answer.status_code >= 400 and not answer.content.endswith(b"\n")
                if is_error or is_bare or any(word in answer.content for word in TELLING):
                    wrong.append(f"{answer.status_code} {answer.content[:200]!r}: {case!r:.500}")

            try:
                ask_it()
            except hypothesis.errors.Unsatisfiable:
                assert mode == schemathesis.GenerationMode.NEGATIVE  # nothing can be wrong there
    told = ", ".join(f"{count} of {status}" for status, count in sorted(statuses.items()))
    figure(f"{statuses.total()} generated requests: {told}")
    assert wrong == []
    assert statuses.total() > (100 if long else 50)
    assert {200, 400} <= set(statuses)
