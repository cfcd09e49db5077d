"""Metadata filters as expressions that MongoDB evaluates as PostgreSQL does its lax jsonpaths.

A path leads to any number of values: a condition holds if it does for one of them. Comparisons are
true, false or unknown; since negation turns around only the first two, it is pushed down to them,
and each is asked either whether it is true or whether it is false.
"""

import math
from collections.abc import Sequence
from itertools import dropwhile
from typing import Any

from langchain_zepstore.filters.jsonpath import (
    And,
    Comparison,
    Each,
    Filter,
    Key,
    Not,
    Or,
    Path,
    Step,
    Test,
)
from langchain_zepstore.filters.where import Condition
from langchain_zepstore.mongo.encoding import escape_key
from langchain_zepstore.mongo.expressions import Expression, field, is_map, literal

_ITEM = "$$this"
_OPERATORS = {"==": "$eq", "!=": "$ne", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}


def matching(condition: Condition, name: str) -> Expression:
    """Return an expression for whether metadata meets a condition.

    Args:
        condition: What is to hold.
        name: The field that holds metadata; all but a map there meets no condition.
    """
    root = f"${name}"
    return {"$and": [is_map(root), _holds(condition, root)]}


def _holds(condition: Condition, root: str) -> Expression:
    match condition:
        case And(parts):
            return {"$and": [_holds(part, root) for part in parts]}
        case Or(parts):
            return {"$or": [_holds(part, root) for part in parts]}
        case Path(steps):
            of_a_map = dropwhile(lambda step: isinstance(step, Each), steps)  # they lead to itself
            return _leads(root, tuple(of_a_map), literal(True))


def _leads(start: Expression, steps: Sequence[Step], end: Expression) -> Expression:
    """Return an expression for whether ``end`` is true of something that steps lead to."""
    if not steps:
        return end
    further = _leads(_ITEM, steps[1:], end)
    return {"$anyElementTrue": {"$map": {"input": _taken(start, steps[0]), "in": further}}}


def _taken(value: Expression, step: Step) -> Expression:
    """Return an expression for the list of values at a step; it looks into lists, as all do."""
    items = {"$cond": [{"$isArray": value}, value, [value]]}
    match step:
        case Each():
            return items
        case Key(name):
            inner = field(_ITEM, escape_key(name))
            present = {"$and": [is_map(_ITEM), {"$ne": [{"$type": inner}, "missing"]}]}
            return {"$map": {"input": {"$filter": {"input": items, "cond": present}}, "in": inner}}
        case Filter(test):
            return {"$filter": {"input": items, "cond": _is(test, wanted=True)}}


def _is(test: Test, *, wanted: bool) -> Expression:
    """Return an expression for whether a test of an item has the wanted result, and not unknown."""
    match test:
        case Not(inner):
            return _is(inner, wanted=not wanted)
        case And(parts) | Or(parts):
            operator = "$and" if isinstance(test, And) is wanted else "$or"
            return {operator: [_is(part, wanted=wanted) for part in parts]}
        case Comparison(path, operator, value):
            compared = _compared(operator, value, unknown=not wanted)
            found = _leads(_ITEM, (*path, Each()), compared)
            return found if wanted else {"$not": found}


def _compared(operator: str, value: Any, *, unknown: bool) -> Expression:
    """Return an expression for how an item compares with a literal.

    Null compares with everything; other types only with their own.
    """
    comparable: Expression
    same = {_OPERATORS[operator]: [_ITEM, literal(value)]}
    is_null = {"$eq": [_ITEM, None]}
    if value is None:
        return {"$cond": [is_null, same, operator == "!="]}
    if isinstance(value, bool):
        comparable = {"$eq": [{"$type": _ITEM}, "bool"]}
    elif isinstance(value, str):
        comparable = {"$eq": [{"$type": _ITEM}, "string"]}
    else:
        comparable = {"$and": [{"$isNumber": _ITEM}, {"$ne": [_ITEM, math.nan]}]}
    return {"$cond": [is_null, operator == "!=", {"$cond": [comparable, same, unknown]}]}
