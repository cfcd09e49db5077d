"""The tree that the branches of a session make: parents, and alternatives.

It is a tree of what a query matches, mostly of the live messages: the parent of a message is the
nearest of them before it.
"""

from bisect import bisect_right
from collections.abc import Sequence

from langchain_zepstore.core.operation import Operation, Page
from langchain_zepstore.models import Message
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.branches.reads import last_along
from langchain_zepstore.mongo.branches.table import ForkTable
from langchain_zepstore.mongo.documents import Fields, MessageDocument, Query
from langchain_zepstore.mongo.driver.collection import Collection

Messages = Collection[MessageDocument]


def tree_page(
    messages: Messages, query: Query, table: ForkTable, after: int, limit: int
) -> Operation[Page[Message]]:
    """Return messages of all branches in the order of adding, each with its parent's id."""
    found = yield from messages.find(
        {**query, "seq": {"$gt": after, "$lte": table.last}},
        sort={"seq": 1},
        limit=limit,
        fields=codecs.MESSAGE_FIELDS,
    )
    if not found:
        return Page([], None)
    above = yield from parents(messages, query, table, found)
    items = []
    for document in found:
        message = codecs.to_message(document)
        message.parent_uuid = above[document["seq"]]
        items.append(message)
    return Page(items, found[-1]["seq"])


def parents(
    messages: Messages, query: Query, table: ForkTable, page: Sequence[MessageDocument]
) -> Operation[dict[int, str | None]]:
    """Return the ids of the parents of a page's messages, by number."""
    uuids: dict[int, str | None] = {0: None}
    uuids |= {document["seq"]: document["uuid"] for document in page}
    numbers = [document["seq"] for document in page]
    nearest = {number: _nearest(table, numbers, table.before(number)) for number in numbers}
    outside = sorted({number for number in nearest.values() if number not in uuids})
    identity = {"seq": 1, "uuid": 1}
    if outside:
        found = yield from messages.find({**query, "seq": {"$in": outside}}, fields=identity)
        uuids |= {document["seq"]: document["uuid"] for document in found}
    for number in outside:
        if number not in uuids:
            last = yield from last_along(messages, query, table.path_to(number), fields=identity)
            uuids[number] = last["uuid"] if last else None
    return {number: uuids[each] for number, each in nearest.items()}


def _nearest(table: ForkTable, numbers: Sequence[int], number: int) -> int:
    """Return the nearest of a page's numbers at or before a number.

    Where there is none, where the path to it leaves the page.
    """
    while number >= numbers[0]:
        first = table.forks[table.fork_of(number)]["first"]
        index = bisect_right(numbers, number) - 1
        if numbers[index] >= first:
            return numbers[index]
        number = table.before(first)
    return number


def alternatives(
    messages: Messages,
    query: Query,
    table: ForkTable,
    number: int,
    fields: Fields = codecs.MESSAGE_FIELDS,
) -> Operation[list[MessageDocument]]:
    """Return the messages with the same parent as one, the first said first."""
    parent = 0
    if before := table.before(number):
        above = yield from last_along(messages, query, table.path_to(before), fields={"seq": 1})
        parent = above["seq"] if above else 0
    following = table.following(parent)
    found = yield from messages.find({**query, "seq": {"$in": following}}, fields=fields)
    there = {document["seq"] for document in found}
    for first in following:
        if first not in there:
            found += yield from _heads(messages, query, table, first, fields)
    return sorted(found, key=lambda document: document["seq"])


def _heads(
    messages: Messages, query: Query, table: ForkTable, first: int, fields: Fields
) -> Operation[list[MessageDocument]]:
    """Return the first messages from a number on, in its fork and in those that leave it before."""
    end = table.end(table.fork_of(first))
    heads = yield from messages.find(
        {**query, "seq": {"$gte": first, "$lte": end}},
        sort={"seq": 1},
        limit=1,
        fields=fields,
    )
    last_missing = heads[0]["seq"] - 1 if heads else end
    for index in table.forks_after(first, last_missing):
        heads += yield from _heads(messages, query, table, table.forks[index]["first"], fields)
    return heads
