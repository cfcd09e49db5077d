"""The server's merge against a model of it in plain Python."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_zepstore import Session, ZepClient

KEYS = st.sampled_from(["a", "b", "a.b", "$a", "$ref", "$id", "", "system"])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.sampled_from(["", "text", "$a", "$$ROOT"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
METADATA = st.dictionaries(KEYS, VALUES, max_size=5)
PATHS = st.lists(st.lists(KEYS, min_size=1, max_size=3), max_size=3)


def merged(old: Any, patch: dict[str, Any]) -> dict[str, Any]:
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        result[key] = merged(result.get(key), value) if isinstance(value, dict) else value
    return result


def without(old: dict[str, Any], path: list[str]) -> dict[str, Any]:
    key, *rest = path
    if not rest:
        return {name: value for name, value in old.items() if name != key}
    inner = old.get(key)
    return {**old, key: without(inner, rest)} if isinstance(inner, dict) else old


@pytest.mark.promise(
    "metadata is merged deeply, in one atomic operation; keys are data; `unset` removes"
)
@given(st.none() | METADATA, st.lists(st.tuples(METADATA, PATHS), min_size=1, max_size=3))
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_updates_match_a_merge_in_plain_python(
    client: ZepClient,
    old: dict[str, Any] | None,
    updates: list[tuple[dict[str, Any], list[list[str]]]],
) -> None:
    session_id, expected = f"merging {uuid4()}", old
    client.memory.add_session(Session(session_id=session_id, metadata=old))
    for patch, paths in updates:
        expected = merged(expected, {k: v for k, v in patch.items() if k != "system"})
        for path in paths:
            expected = without(expected, path)
        session = Session(session_id=session_id, metadata=patch)
        updated = client.memory.update_session(session, unset=paths)
        assert repr(_sorted(updated.metadata)) == repr(_sorted(expected))
    assert client.memory.get_session(session_id) == updated


def _sorted(value: Any) -> Any:
    """The value in a form whose ``repr`` tells types apart, and not the order of keys."""
    if isinstance(value, dict):
        return [(key, _sorted(item)) for key, item in sorted(value.items())]
    return [_sorted(item) for item in value] if isinstance(value, list) else (value,)
