"""Projections that cut large values in the database."""

from typing import Any

from langchain_zepstore.mongo.documents import Fields

Expression = Any

_MAX_ITEMS = 50  # of a list or a map
_MAX_DEPTH = 7  # the arguments of a message's tool calls are the sixth

_CUT = ("role", "content", "langchain", "metadata")
_WHOLE = (
    *("session_id", "seq", "uuid", "token_count", "created_at", "deleted_at"),
    *("scope", "branched", "escaped", "marked"),
)


def excerpt_fields(limit: int) -> Fields:
    """Return the projection for ``to_message`` that cuts messages of more than so many bytes.

    A text of theirs keeps so many characters, one in a list or a map a quarter of it; a list or a
    map keeps its first 50 items; what nests deeper than a tool call's arguments is left out. The
    field ``is_cut`` says which messages are cut.
    """
    size = {"$bsonSize": {name: f"${name}" for name in _CUT}}
    is_large = {"$gt": [size, limit]}
    cut = {
        name: {"$cond": [is_large, _cut(f"${name}", limit, limit // 4, _MAX_DEPTH), f"${name}"]}
        for name in _CUT
    }
    return {**dict.fromkeys(_WHOLE, 1), **cut, "is_cut": is_large}


def metadata_fields(limit: int) -> Fields:
    """Return the projection of a session's metadata; of more than so many bytes only the title."""
    title = "$metadata.title"
    is_text = {"$eq": [{"$type": title}, "string"]}
    cut = {"title": {"$cond": [is_text, {"$substrCP": [title, 0, limit]}, "$$REMOVE"]}}
    size = {"$bsonSize": {"metadata": "$metadata"}}
    return {"metadata": {"$cond": [{"$gt": [size, limit]}, cut, "$metadata"]}}


def _cut(value: Expression, limit: int, inner: int, depth: int) -> Expression:
    """Return an expression for a value that is cut.

    Args:
        value: An expression.
        limit: The length of a text, or of bytes.
        inner: The same inside of a list or a map.
        depth: How deep lists and maps may nest.
    """
    branches = [
        {
            "case": {"$eq": ["$$type", "string"]},
            "then": {
                "$cond": [
                    {"$gt": [{"$strLenBytes": "$$value"}, limit]},
                    {"$substrCP": ["$$value", 0, limit]},
                    "$$value",
                ]
            },
        },
        {
            "case": {"$eq": ["$$type", "binData"]},
            "then": {"$cond": [{"$gt": [{"$binarySize": "$$value"}, limit]}, None, "$$value"]},
        },
        {
            "case": {"$in": ["$$type", ["object", "array"]]},
            "then": _cut_items(inner, depth) if depth else None,
        },
    ]
    return {
        "$let": {
            "vars": {"value": value, "type": {"$type": value}},
            "in": {"$switch": {"branches": branches, "default": "$$value"}},
        }
    }


def _cut_items(limit: int, depth: int) -> Expression:
    # Lists and maps together: an expression for each would double it with every level.
    is_map = {"$eq": ["$$type", "object"]}
    pairs = {
        "$cond": [
            is_map,
            {"$slice": [{"$objectToArray": "$$value"}, _MAX_ITEMS]},
            {
                "$map": {
                    "input": {"$slice": ["$$value", _MAX_ITEMS]},
                    "in": {"k": "", "v": "$$this"},
                }
            },
        ]
    }
    cut = {"k": "$$pair.k", "v": _cut("$$pair.v", limit, limit, depth - 1)}
    return {
        "$let": {
            "vars": {
                "items": {"$map": {"input": pairs, "as": "pair", "in": cut}},
                "is_map": is_map,
            },
            "in": {
                "$cond": [
                    "$$is_map",
                    {"$arrayToObject": "$$items"},
                    {"$map": {"input": "$$items", "in": "$$this.v"}},
                ]
            },
        }
    }
