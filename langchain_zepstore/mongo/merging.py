"""Zep's deep merge of metadata as an expression that the server evaluates in one update.

Maps merge recursively; everything else replaces what was there. Keys are data: no user's key ever
becomes a path or an operator.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from langchain_zepstore.mongo.values import escape_key

Expression = Any


def literal(value: Any) -> Expression:
    """Return an expression for a value that may look like one."""
    return {"$literal": value}


def field(parent: Expression, key: str) -> Expression:
    """Return an expression for what stands under a key, whatever the key looks like."""
    return {"$getField": {"field": literal(key), "input": parent}}


def is_map(value: Expression) -> Expression:
    """Return an expression for whether a value is a map."""
    return {"$eq": [{"$type": value}, "object"]}


def merged(old: Expression, patch: dict[str, Any]) -> Expression:
    """Return an expression for ``old`` with an encoded patch merged into it.

    Args:
        old: What is there; anything but a map counts as an empty one.
        patch: Maps merge into maps; other values, ``None`` among them, replace.
    """
    values = {key: value for key, value in patch.items() if not isinstance(value, dict)}
    maps = {key: value for key, value in patch.items() if isinstance(value, dict)}
    layers: list[Expression] = ["$$old", literal(values)]
    if maps:
        layers.append(
            _map((key, merged(field("$$old", key), value)) for key, value in maps.items())
        )
    return {
        "$let": {
            "vars": {"old": {"$cond": [is_map(old), old, {}]}},
            "in": {"$mergeObjects": layers},
        }
    }


def without(old: Expression, path: Sequence[str]) -> Expression:
    """Return an expression for ``old`` without the key at the end of a path of keys.

    A path that leads nowhere changes nothing.
    """
    key, *rest = path
    key = escape_key(key)
    changed: Expression
    if rest:
        inner = field("$$old", key)
        changed = {
            "$cond": [
                is_map(inner),
                {"$mergeObjects": ["$$old", _map([(key, without(inner, rest))])]},
                "$$old",
            ]
        }
    else:
        kept = {
            "$filter": {
                "input": {"$objectToArray": "$$old"},
                "cond": {"$ne": ["$$this.k", literal(key)]},
            }
        }
        changed = {"$arrayToObject": kept}
    return {"$let": {"vars": {"old": old}, "in": {"$cond": [is_map("$$old"), changed, "$$old"]}}}


def holds(value: Expression, wanted: dict[str, Any]) -> list[Expression]:
    """Return the conditions under which a value is a map that holds an encoded one.

    Maps match when they hold at least the wanted keys; all else must be equal.
    """
    conditions = [is_map(value)]
    for key, item in wanted.items():
        inner = field(value, key)
        if isinstance(item, dict):
            conditions.extend(holds(inner, item))
        else:
            conditions.append({"$eq": [inner, literal(item)]})
    return conditions


def _map(items: Iterable[tuple[str, Expression]]) -> Expression:
    return {"$arrayToObject": [[{"k": literal(key), "v": value} for key, value in items]]}
