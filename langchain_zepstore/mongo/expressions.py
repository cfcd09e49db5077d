"""Zep's deep merge of metadata as an expression that the server evaluates in one update.

Maps merge recursively; everything else replaces what was there. Keys are data: no user's key ever
becomes a path or an operator.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from langchain_zepstore.messages.storable import MAX_METADATA_MAPS
from langchain_zepstore.mongo.documents import Metadata
from langchain_zepstore.mongo.encoding import escape_key

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


def merged(old: Expression, patch: Metadata) -> Expression:
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


def without(old: Expression, paths: Iterable[Sequence[str]]) -> Expression:
    """Return an expression for ``old`` without the keys at the ends of paths of keys.

    A path that leads nowhere changes nothing, as one that is deeper than metadata can be.
    """
    tree: Metadata = {}
    for path in paths:
        if len(path) > MAX_METADATA_MAPS:
            continue
        *parents, last = map(escape_key, path)
        node: Metadata | None = tree
        for key in parents:
            node = None if node is None else node.setdefault(key, {})
        if node is not None:
            node[last] = None  # with all that stands below it
    return _pruned(old, tree)


def _pruned(old: Expression, tree: Metadata) -> Expression:
    gone = [key for key, below in tree.items() if below is None]
    others = {"$not": [{"$in": ["$$this.k", literal(gone)]}]}
    pruned: list[Expression] = [
        {"$arrayToObject": {"$filter": {"input": {"$objectToArray": "$$old"}, "cond": others}}}
    ]
    for key, below in tree.items():
        if below is not None:
            inner = field("$$old", key)
            pruned.append({"$cond": [is_map(inner), _map([(key, _pruned(inner, below))]), {}]})
    return {
        "$let": {
            "vars": {"old": old},
            "in": {"$cond": [is_map("$$old"), {"$mergeObjects": pruned}, "$$old"]},
        }
    }


def contains(value: Expression, wanted: Metadata) -> list[Expression]:
    """Return the conditions under which a value contains an encoded map, as jsonb's ``@>``.

    Maps match when they contain at least the wanted keys; all else must be equal.
    """
    conditions = [is_map(value)]
    for key, item in wanted.items():
        inner = field(value, key)
        if isinstance(item, dict):
            conditions.extend(contains(inner, item))
        else:
            conditions.append({"$eq": [inner, literal(item)]})
    return conditions


def _map(items: Iterable[tuple[str, Expression]]) -> Expression:
    return {"$arrayToObject": [[{"k": literal(key), "v": value} for key, value in items]]}
