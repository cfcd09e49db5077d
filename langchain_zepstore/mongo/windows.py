"""Windows: the last messages of a session, back to the beginning of a turn if need be."""

from collections.abc import Collection
from typing import Literal

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.messages.langchain import PLAIN_TYPES
from langchain_zepstore.mongo.branches.reads import ALL, BranchReads
from langchain_zepstore.mongo.codecs import langchain_type
from langchain_zepstore.mongo.documents import Fields, MessageDocument, Query

_MAX_LOOK_BACK = 10_000  # numbers; a turn that goes back further has no beginning


class Windows:
    """Reads windows."""

    def __init__(self, reads: BranchReads) -> None:
        self._reads = reads

    def read(
        self,
        session_id: str,
        lastn: int | None,
        fields: Fields,
        start_on: Collection[str],
        user_id: str | None,
        *,
        before: int | None = None,
    ) -> Operation[list[MessageDocument]]:
        """Return the documents of the last messages, oldest first; see ``MessageOperations.read``.

        With ``before``, a number, the window ends before it, on a branch that holds it.

        Raises:
            BadRequestError: The session is another user's.
        """
        if lastn == 0:
            return []
        order: Literal[1, -1] = 1 if lastn is None else -1
        found = yield from self._reads.find(
            session_id,
            fields,
            between=ALL if before is None else (1, before - 1),
            through=before,
            order=order,
            limit=lastn or 0,
            user_id=user_id,
        )
        if lastn is not None:
            if start_on and len(found) == lastn and not _holds(found, start_on):
                found += yield from self._beginning(session_id, found, fields, start_on, user_id)
            found.reverse()
        return found

    def _beginning(
        self,
        session_id: str,
        found: list[MessageDocument],
        fields: Fields,
        start_on: Collection[str],
        user_id: str | None,
    ) -> Operation[list[MessageDocument]]:
        """Return the messages with which the turn begins that a window lies within, newest first.

        These are the last of the types, and the one whose calls the first of the window answer. No
        index has the types: the messages of the turn are looked at one by one, from the end.
        """
        first = found[-1]["seq"]
        wanted = _of_types(start_on)
        calls = _first_answers(found)
        if calls:
            wanted.append({"langchain.data.tool_calls.id": {"$in": calls}})
            wanted.append({"langchain.data.invalid_tool_calls.id": {"$in": calls}})
        earlier = yield from self._reads.find(
            session_id,
            fields,
            between=(first - _MAX_LOOK_BACK, first - 1),
            through=first,
            where={"$or": wanted},
            order=-1,
            limit=2 if calls else 1,
            user_id=user_id,
        )
        is_start = [_holds([each], start_on) for each in earlier]
        return earlier[: is_start.index(True) + 1] if True in is_start else []


def _of_types(types: Collection[str]) -> list[Query]:
    plain = [role for role, type_ in PLAIN_TYPES.items() if type_ in types]
    wanted: list[Query] = [
        {"langchain.type": {"$in": list(types)}},
        {"langchain": None, "role": {"$in": plain}},
    ]
    if "chat" in types:
        wanted.append({"langchain": None, "role": {"$nin": list(PLAIN_TYPES)}})
    return wanted


def _holds(found: list[MessageDocument], types: Collection[str]) -> bool:
    return any(langchain_type(each) in types for each in found)


def _first_answers(found: list[MessageDocument]) -> list[str]:
    calls = []
    for document in reversed(found):
        call = _data(document).get("tool_call_id")
        if call is None:
            break
        calls.append(call)
    return calls


def _data(document: MessageDocument) -> Fields:
    payload = document.get("langchain")
    return payload["data"] if payload else {}
