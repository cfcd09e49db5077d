"""The history that an agent's run resumes from: a session's end, or up to an edited message."""

from collections.abc import Collection, Sequence

from langchain_zepstore.core.arguments import GivenMessage
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.results import Resumption
from langchain_zepstore.messages.fingerprints import fingerprint, repeats
from langchain_zepstore.messages.langchain import HUMAN_TYPES
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.branches.reads import BranchReads
from langchain_zepstore.mongo.documents import MessageDocument
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.windows import Windows


class Resumptions:
    """Finds what a run goes on from."""

    def __init__(self, database: Database) -> None:
        self._messages = database.messages
        self._windows = Windows(BranchReads(database))

    def resume(
        self,
        session_id: str,
        lastn: int,
        given: Sequence[GivenMessage],
        *,
        start_on: Collection[str] = (),
        user_id: str | None = None,
    ) -> Operation[Resumption]:
        """Return the window before a run; see ``BranchOperations.resume``."""
        window = yield from self._windows.read(
            session_id, lastn, codecs.LANGCHAIN_FIELDS, start_on, user_id
        )
        known = {document["uuid"]: document for document in window}
        is_all = len(window) < lastn and not any(each.get("branched") for each in window)
        if given and not is_all:
            known |= yield from self._find(session_id, given)
        repeated = {
            each.uuid: _is_repeated(known[each.uuid], each) for each in given if each.uuid in known
        }
        edit = next((each for each in given if _is_edit(each, known, repeated)), None)
        if edit is None:
            return Resumption([codecs.to_langchain(each) for each in window], repeated)
        edited = known.get(edit.new_uuid or "") or known[edit.uuid]
        before = yield from self._windows.read(
            session_id,
            max(lastn, 1),
            codecs.LANGCHAIN_FIELDS,
            start_on if lastn else (),
            user_id,
            before=edited["seq"],
        )
        return Resumption(
            [codecs.to_langchain(each) for each in before] if lastn else [],
            repeated,
            edited=edit.uuid,
            previous=before[-1]["uuid"] if before else None,
        )

    def _find(
        self, session_id: str, given: Sequence[GivenMessage]
    ) -> Operation[dict[str, MessageDocument]]:
        uuids = {uuid for each in given for uuid in (each.uuid, each.new_uuid) if uuid}
        found = yield from self._messages.find(
            {"session_id": session_id, "uuid": {"$in": sorted(uuids)}, "deleted_at": None},
            fields=codecs.LANGCHAIN_FIELDS,
        )
        return {document["uuid"]: document for document in found}


def _is_repeated(document: MessageDocument, given: GivenMessage) -> bool:
    stored = fingerprint(codecs.to_langchain(document))
    return repeats(given.words, stored, document.get("given"))


def _is_edit(
    given: GivenMessage, known: dict[str, MessageDocument], repeated: dict[str, bool]
) -> bool:
    if given.new_uuid is None or repeated.get(given.uuid, True):
        return False
    return codecs.langchain_type(known[given.uuid]) in HUMAN_TYPES
