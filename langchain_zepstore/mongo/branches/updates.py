"""Updates of a session's forks, each one pipeline that the server evaluates.

All expressions of a stage see the session as it was before: its ``seq`` is the last number then.
A fork without numbers is left out by the next change.
"""

from bson import Int64

from langchain_zepstore.mongo.documents import Query, Stage
from langchain_zepstore.mongo.expressions import Expression

_TURN = {"$add": ["$turn", 1]}
_KEPT = {"$filter": {"input": "$forks", "cond": {"$lte": ["$$this.first", "$seq"]}}}
_TIP = {"$cond": [{"$gt": [{"$last": "$forks.first"}, "$seq"]}, {"$last": "$forks.after"}, "$seq"]}


def first_fork(session_seq: int) -> list[Stage]:
    """Return the update that gives a session its table, once its messages are prepared."""
    fork = {"first": Int64(1), "after": Int64(0), "activated": Int64(1)}
    fenced = {"$max": ["$fenced", Int64(session_seq)]}
    return [{"$set": {"forks": [fork], "turn": Int64(1), "fenced": fenced}}]


def aside(before: int, count: int) -> Stage:
    """Return the ``$set`` that reserves numbers for an edit, on a branch that is not active yet.

    Args:
        before: The number in whose place the messages come.
        count: How many they are.
    """
    edit = {
        "first": _next(1),
        "after": _before(before),
        "activated": Int64(0),
        "pending": True,
    }
    resumed = {"first": _next(count + 1), "after": _TIP, "activated": _TURN}
    return {"forks": {"$concatArrays": [_KEPT, [edit, resumed]]}, "turn": _TURN}


def beside(last: int, activated: int, count: int) -> Stage:
    """Return the ``$set`` that reserves numbers on a branch that stays as active as it was.

    Args:
        last: The branch's last number.
        activated: The turn in which the branch was activated.
        count: How many numbers.
    """
    added = {"first": _next(1), "after": Int64(last), "activated": Int64(activated)}
    resumed = {"first": _next(count + 1), "after": _TIP, "activated": _TURN}
    return {"forks": {"$concatArrays": [_KEPT, [added, resumed]]}, "turn": _TURN}


def rewound(before: int) -> list[Stage]:
    """Return the update after which the active branch ends before a number."""
    fork = {"first": _next(1), "after": _before(before), "activated": _TURN}
    return [{"$set": {"forks": {"$concatArrays": [_KEPT, [fork]]}, "turn": _TURN}}]


def activated(first: int, last: int) -> list[Stage]:
    """Return the update after which the branch is active that ends with a fork.

    Args:
        first: The fork's first number.
        last: Its last.
    """
    whole = {"first": "$$this.first", "after": "$$this.after", "activated": _TURN}
    is_it = {"$eq": ["$$this.first", first]}
    marked = {"$map": {"input": _KEPT, "in": {"$cond": [is_it, whole, "$$this"]}}}
    resumed = {"first": _next(1), "after": Int64(last), "activated": _TURN}
    more = {"$cond": [{"$eq": ["$seq", last]}, [], [resumed]]}
    return [{"$set": {"forks": {"$concatArrays": [marked, more]}, "turn": _TURN}}]


def has_room(forks: int) -> Query:
    """Return the query for a session whose table has at most so many forks."""
    return {"forks": {"$ne": None}, f"forks.{forks}": {"$exists": False}}


def _next(step: int) -> Expression:
    return {"$add": ["$seq", Int64(step)]}


def _before(number: int) -> Expression:
    own = {"$filter": {"input": "$forks", "cond": {"$eq": ["$$this.first", number]}}}
    return {
        "$ifNull": [{"$first": {"$map": {"input": own, "in": "$$this.after"}}}, Int64(number - 1)]
    }
