"""Merging metadata into a session's, and removing keys from it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from langchain_zepstore import BadRequestError, Memory, NotFoundError, Session
from tests.support.facade import Facade

WRITERS = 32
MISSING: Any = object()

MERGES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "new keys are added": ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
    "metadata comes to a session without": (None, {"a": {"b": 1}}, {"a": {"b": 1}}),
    "maps merge recursively": (
        {"a": {"b": {"c": 1, "d": 2}, "e": 3}},
        {"a": {"b": {"d": 4, "f": 5}}},
        {"a": {"b": {"c": 1, "d": 4, "f": 5}, "e": 3}},
    ),
    "arrays are replaced whole": (
        {"a": [1, 2, {"b": 1}], "c": {"d": [[1], 2]}},
        {"a": [{"e": 2}], "c": {"d": []}},
        {"a": [{"e": 2}], "c": {"d": []}},
    ),
    "empty values override": (
        {"a": "text", "b": 5, "c": True, "d": {"e": 1}},
        {"a": "", "b": 0, "c": False, "d": {"e": 0.0}},
        {"a": "", "b": 0, "c": False, "d": {"e": 0.0}},
    ),
    "null is stored": (
        {"a": 1, "b": {"c": 1, "d": 2}},
        {"a": None, "b": {"c": None}, "new": None},
        {"a": None, "b": {"c": None, "d": 2}, "new": None},
    ),
    "null replaces a map": ({"a": {"b": 1}}, {"a": None}, {"a": None}),
    "a map replaces null": ({"a": None}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    "an empty map over a map changes nothing": (
        {"a": {"b": {"c": 1}}},
        {"a": {"b": {}}},
        {"a": {"b": {"c": 1}}},
    ),
    "no metadata at all changes nothing": ({"a": {"b": 1}}, {}, {"a": {"b": 1}}),
    "an empty map over a scalar replaces it": ({"a": 1}, {"a": {}}, {"a": {}}),
    "an empty map is a new key's value": ({}, {"a": {}}, {"a": {}}),
    "a map replaces a scalar": ({"a": "text"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    "a map replaces an array": ({"a": [{"b": 1}]}, {"a": {"c": 1}}, {"a": {"c": 1}}),
    "a scalar replaces a map": ({"a": {"b": {"c": 1}}}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    "an array replaces a map": ({"a": {"b": 1}}, {"a": [1]}, {"a": [1]}),
    "system at the top is dropped": (
        {"a": {"system": 1}},
        {"system": {"x": 1}, "a": {"system": 2}, "b": 1},
        {"a": {"system": 2}, "b": 1},
    ),
    "system that is there stays": ({"system": {"mine": 1}}, {"system": 2}, {"system": {"mine": 1}}),
}

ODD_KEYS = [
    "a.b", ".", "..", "a.", ".a", "$", "$set", "$literal", "$$ROOT", "$$this", "$ref", "$id", "$db",
    "$$ref", "$$$ref", "_id", "", " ", "0", "k", "v", "old", "__proto__", "\n", "\"'\\", "漢字 🦜",
    "e\u0301", "é", "x" * 2000,
]  # fmt: skip

ODD_VALUES = [
    "$foo", "$$ROOT", "$$REMOVE", "$$NOW", {"$gt": 1}, {"$literal": 1}, {"$ref": "c", "$id": 1},
    {"$ref": "c", "$id": 1, "$db": "d"}, {"$mergeObjects": ["$x"]}, {"$date": 0}, {"$oid": "x"},
    ["$a", {"$b": "$c"}], [{"$ref": "c", "$id": [{"$ref": 1, "$id": 2}]}], [[]], [{}],
    {"": {"": ""}},
    2**63 - 1, -(2**63), 1e308, -0.0, b"bytes \0", "nul \0", True,
]  # fmt: skip


def nested(levels: int, leaf: Any = MISSING) -> dict[str, Any]:
    metadata: dict[str, Any] = {} if leaf is MISSING else {"leaf": leaf}
    for _ in range(levels - 1):
        metadata = {"deeper": metadata}
    return metadata


async def create(zep: Facade, session_id: str, metadata: dict[str, Any] | None) -> None:
    await zep.memory.add_session(Session(session_id=session_id, metadata=metadata))


async def update(zep: Facade, session_id: str, metadata: Any = None, **options: Any) -> Any:
    """Update a session; return its metadata, having seen that it reads as it was returned."""
    session = Session(session_id=session_id, metadata=metadata)
    updated = await zep.memory.update_session(session, **options)
    assert await zep.memory.get_session(session_id) == updated
    return updated.metadata


async def update_at_once(zep: Facade, session_id: str, patches: list[dict[str, Any]]) -> None:
    sessions = [Session(session_id=session_id, metadata=patch) for patch in patches]
    memory = zep.client.memory
    if zep.asynchronous:
        await asyncio.gather(*map(memory.aupdate_session, sessions))
        return
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(len(sessions)) as threads:
        calls = [loop.run_in_executor(threads, memory.update_session, each) for each in sessions]
        await asyncio.gather(*calls)


@pytest.mark.promise(
    "metadata is merged deeply, in one atomic operation; keys are data; `unset` removes"
)
@pytest.mark.promise("nulls, `system`, `unset`")
async def test_metadata_merges_as_in_zep(zep: Facade, session_id: str) -> None:
    for rule, (old, patch, expected) in MERGES.items():
        name = f"{session_id} {rule}"
        await create(zep, name, old)
        merged = await update(zep, name, patch)
        assert (rule, merged) == (rule, expected)
        # Equal is not the same: 0 == False, 1 == 1.0.
        assert repr(sorted(merged.items())) == repr(sorted(expected.items()))


async def test_an_update_without_metadata_merges_nothing(zep: Facade, session_id: str) -> None:
    await create(zep, session_id, {"a": {"b": 1}})
    assert await update(zep, session_id, None) == {"a": {"b": 1}}
    other = f"{session_id} without"
    await create(zep, other, None)
    assert await update(zep, other, None) is None


@pytest.mark.promise("nulls, `system`, `unset`")
async def test_the_system_key_is_kept_on_create(zep: Facade, session_id: str) -> None:
    await create(zep, session_id, {"system": {"a": 1}})
    assert (await zep.memory.get_session(session_id)).metadata == {"system": {"a": 1}}


@pytest.mark.promise(
    "metadata is merged deeply, in one atomic operation; keys are data; `unset` removes"
)
@pytest.mark.promise("dots and dollars, 2,000 keys, 16 levels")
async def test_any_text_is_a_valid_key_at_every_level(zep: Facade, session_id: str) -> None:
    odd = {key: number for number, key in enumerate(ODD_KEYS)}
    first = {**odd, "deep": {**odd, "deep": odd}}
    await create(zep, session_id, first)
    assert await update(zep, session_id) == first
    other = {key: -number for number, key in enumerate(ODD_KEYS)}
    patch = {**other, "deep": {**other, "deep": {**other, "new": 1}}}
    assert await update(zep, session_id, patch) == patch


async def test_maps_merge_under_any_key(zep: Facade, session_id: str) -> None:
    await create(zep, session_id, {key: {"old": 1, key: {"a": 1}} for key in ODD_KEYS if key})
    patch = {key: {"new": 2, key: {"b": 2}} for key in ODD_KEYS if key != "old"}
    merged = await update(zep, session_id, patch)
    assert merged["a.b"] == {"old": 1, "new": 2, "a.b": {"a": 1, "b": 2}}
    assert merged[""] == {"new": 2, "": {"b": 2}}
    assert merged["$ref"] == {"old": 1, "new": 2, "$ref": {"a": 1, "b": 2}}
    assert merged["old"] == {"old": {"a": 1}}
    assert set(merged) == set(ODD_KEYS)


@pytest.mark.promise("dots and dollars, 2,000 keys, 16 levels")
async def test_a_dotted_key_is_not_a_path(zep: Facade, session_id: str) -> None:
    await create(zep, session_id, {"a": {"b": 1}})
    assert await update(zep, session_id, {"a.b": 2}) == {"a": {"b": 1}, "a.b": 2}
    assert await update(zep, session_id, {"a": {"b": 3}}) == {"a": {"b": 3}, "a.b": 2}


async def test_a_value_that_looks_like_an_operator_is_a_value(zep: Facade, session_id: str) -> None:
    values = {str(number): value for number, value in enumerate(ODD_VALUES)}
    await create(zep, session_id, {"created": values})
    expected = {"created": values, "set": values, "in": {"lists": [*ODD_VALUES, ODD_VALUES]}}
    patch = {"set": values, "in": {"lists": [*ODD_VALUES, ODD_VALUES]}}
    assert await update(zep, session_id, patch) == expected
    assert await update(zep, session_id, patch) == expected


async def test_a_map_that_looks_like_a_dbref_is_a_map(zep: Facade, session_id: str) -> None:
    await create(zep, session_id, {"$ref": "c", "$id": 1, "in": {"$ref": "c", "$id": 1}})
    merged = await update(zep, session_id, {"$id": 2, "in": {"$ref": "d"}})
    assert merged == {"$ref": "c", "$id": 2, "in": {"$ref": "d", "$id": 1}}
    assert type(merged["in"]) is dict


@pytest.mark.promise("dots and dollars, 2,000 keys, 16 levels")
async def test_2000_keys_merge(zep: Facade, session_id: str) -> None:
    await create(zep, session_id, {f"$k.{n}": {"a": n} for n in range(2000)})
    patch = {f"$k.{n}": {"b": n} for n in range(1000, 3000)}
    merged = await update(zep, session_id, {**patch, **{f"s{n}": n for n in range(2000)}})
    assert len(merged) == 5000
    assert merged["$k.999"] == {"a": 999}
    assert merged["$k.1000"] == {"a": 1000, "b": 1000}
    assert merged["$k.2999"] == {"b": 2999}
    assert merged["s1999"] == 1999


async def test_2000_keys_in_nested_maps_merge(zep: Facade, session_id: str) -> None:
    old = {str(n): {"x": {"y": {"a": n}}} for n in range(200)}
    await create(zep, session_id, old)
    patch = {str(n): {"x": {"y": {f"b{m}": m for m in range(10)}}} for n in range(200)}
    merged = await update(zep, session_id, patch)
    assert merged == {
        str(n): {"x": {"y": {"a": n, **{f"b{m}": m for m in range(10)}}}} for n in range(200)
    }


@pytest.mark.promise("dots and dollars, 2,000 keys, 16 levels")
async def test_16_levels_merge(zep: Facade, session_id: str) -> None:
    await create(zep, session_id, nested(16, leaf=1))
    assert await update(zep, session_id, nested(16, leaf=2)) == nested(16, leaf=2)
    assert await update(zep, session_id, nested(3, leaf=3)) != nested(16, leaf=2)
    other = f"{session_id} other"
    await create(zep, other, nested(1, leaf={}))
    assert await update(zep, other, nested(16, leaf=[1])) == {"leaf": {}, **nested(16, leaf=[1])}


async def test_lists_may_nest_deeper_than_maps(zep: Facade, session_id: str) -> None:
    deep: list[Any] = []
    for _ in range(60):
        deep = [deep]
    await create(zep, session_id, nested(16, leaf=deep))
    assert (await zep.memory.get_session(session_id)).metadata == nested(16, leaf=deep)
    assert await update(zep, session_id, nested(16, leaf=[deep])) == nested(16, leaf=[deep])


@pytest.mark.promise("dots and dollars, 2,000 keys, 16 levels")
@pytest.mark.promise("metadata over 16 levels or 16 MB")
async def test_17_levels_are_refused_everywhere(zep: Facade, session_id: str) -> None:
    in_lists = {"a": [[nested(16)]]}
    for metadata in (nested(17), in_lists):
        with pytest.raises(BadRequestError, match="16"):
            await create(zep, session_id, metadata)
        with pytest.raises(NotFoundError):
            await zep.memory.get_session(session_id)
    await create(zep, session_id, {"a": 1})
    for metadata in (nested(17), in_lists):
        with pytest.raises(BadRequestError, match="16"):
            await update(zep, session_id, metadata)
        with pytest.raises(BadRequestError, match="16"):
            await zep.memory.add_memory(session_id, Memory(metadata=metadata))
    assert await update(zep, session_id) == {"a": 1}


@pytest.mark.promise(
    "metadata is merged deeply, in one atomic operation; keys are data; `unset` removes"
)
@pytest.mark.promise("32 writers merge different keys and lose nothing")
async def test_32_concurrent_writers_of_different_keys_lose_nothing(
    zep: Facade, session_id: str
) -> None:
    await create(zep, session_id, {"there": 1})
    patches = [
        {f"own.{n}": n, "shared": {f"${n}": {"by": n}, "deep": {f"d{n}": [n]}}}
        for n in range(WRITERS)
    ]
    await update_at_once(zep, session_id, patches)
    assert await update(zep, session_id) == {
        "there": 1,
        **{f"own.{n}": n for n in range(WRITERS)},
        "shared": {
            **{f"${n}": {"by": n} for n in range(WRITERS)},
            "deep": {f"d{n}": [n] for n in range(WRITERS)},
        },
    }


async def test_concurrent_writes_of_one_key_keep_one_whole_value(
    zep: Facade, session_id: str
) -> None:
    await create(zep, session_id, None)
    patches = [{"key": [n] * 3, "map": {"a": n, "b": n}} for n in range(WRITERS)]
    await update_at_once(zep, session_id, patches)
    assert await update(zep, session_id) in patches


@pytest.mark.promise(
    "metadata is merged deeply, in one atomic operation; keys are data; `unset` removes"
)
@pytest.mark.promise("nulls, `system`, `unset`")
async def test_unset_removes_keys_by_their_paths(zep: Facade, session_id: str) -> None:
    metadata = {"a": 1, "b": {"c": {"d": 1, "e": 2}}, "x.y": 3, "$z": {"": 4}}
    b, z = metadata["b"], metadata["$z"]
    cases: list[tuple[Any, dict[str, Any]]] = [
        ([("a",)], {"b": b, "x.y": 3, "$z": z}),
        ([("b", "c", "d")], {"a": 1, "b": {"c": {"e": 2}}, "x.y": 3, "$z": z}),
        ([("b", "c")], {"a": 1, "b": {}, "x.y": 3, "$z": z}),
        ([("x.y",)], {"a": 1, "b": b, "$z": z}),
        ([("$z", "")], {"a": 1, "b": b, "x.y": 3, "$z": {}}),
        ([["a"], ("b",), iter(["x.y"]), ("$z",)], {}),
        ({("b", "c", "d"), ("b", "c", "e"), ("$z",), ("a",)}, {"b": {"c": {}}, "x.y": 3}),
        (iter([("a",), ("a",)]), {"b": b, "x.y": 3, "$z": z}),
        ((), metadata),
    ]
    for number, (unset, expected) in enumerate(cases):
        name = f"{session_id} {number}"
        await create(zep, name, metadata)
        assert (number, await update(zep, name, unset=unset)) == (number, expected)


async def test_an_unset_path_that_does_not_exist_changes_nothing(
    zep: Facade, session_id: str
) -> None:
    metadata = {"a": 1, "b": {"c": {"d": 1}}, "x.y": 2, "null": None, "list": [{"in": 1}]}
    await create(zep, session_id, metadata)
    for path in (
        ("none",),
        ("b.c",),
        ("b", "c.d"),
        ("b", "none", "d"),
        ("a", "deeper"),
        ("list", "0"),
        ("list", "in"),
        ("null", "x"),
        ("b", "c", "d", "e", "f"),
        ("x", "y"),
        ("$a",),
        ("",),
    ):
        assert (path, await update(zep, session_id, unset=[path])) == (path, metadata)


async def test_an_unset_path_that_does_not_exist_creates_no_metadata(
    zep: Facade, session_id: str
) -> None:
    await create(zep, session_id, None)
    assert await update(zep, session_id, unset=[("a", "b")]) is None


@pytest.mark.promise("nulls, `system`, `unset`")
async def test_unset_is_applied_after_the_merge(zep: Facade, session_id: str) -> None:
    await create(zep, session_id, {"a": 1, "b": {"c": 1}})
    merged = await update(zep, session_id, {"a": 2, "b": {"d": 2}}, unset=[("a",), ("b", "c")])
    assert merged == {"b": {"d": 2}}


async def test_unset_removes_the_system_key_and_keys_that_look_like_operators(
    zep: Facade, session_id: str
) -> None:
    await create(zep, session_id, {"system": 1, **{key: {key: 1} for key in ODD_KEYS}})
    left = await update(zep, session_id, unset=[(key, key) for key in ODD_KEYS[:12]])
    assert left == {
        "system": 1,
        **{key: {} for key in ODD_KEYS[:12]},
        **{key: {key: 1} for key in ODD_KEYS[12:]},
    }
    assert await update(zep, session_id, unset=[("system",), *((k,) for k in ODD_KEYS)]) == {}


async def test_hundreds_of_keys_are_unset_in_one_call(zep: Facade, session_id: str) -> None:
    await create(zep, session_id, {f"k{n}": {"in": n, "left": n} for n in range(600)})
    paths = [(f"k{n}",) for n in range(300)] + [(f"k{n}", "in") for n in range(300, 599)]
    left = await update(zep, session_id, unset=paths)
    assert left == {
        **{f"k{n}": {"left": n} for n in range(300, 599)},
        "k599": {"in": 599, "left": 599},
    }


async def test_an_unset_path_deeper_than_the_limit_changes_nothing(
    zep: Facade, session_id: str
) -> None:
    await create(zep, session_id, nested(16, leaf=1))
    deepest = ("deeper",) * 15
    assert await update(zep, session_id, unset=[("deeper",) * 17]) == nested(16, leaf=1)
    assert await update(zep, session_id, unset=[("deeper",) * 300]) == nested(16, leaf=1)
    assert await update(zep, session_id, unset=[(*deepest, "leaf")]) == nested(16)


async def test_an_unset_without_metadata_revives_like_any_update(
    zep: Facade, session_id: str
) -> None:
    await create(zep, session_id, {"a": 1, "b": 2})
    await zep.memory.delete_memory(session_id)
    assert await update(zep, session_id, unset=[("a",)]) == {"b": 2}
