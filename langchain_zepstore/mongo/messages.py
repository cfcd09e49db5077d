"""Operations on messages, except deletion."""

from collections.abc import Sequence

from langchain_zepstore.core.arguments import KnownIds, SessionDefaults
from langchain_zepstore.core.message_parts import MessageParts
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.messages import langchain as lc_messages
from langchain_zepstore.models import Message
from langchain_zepstore.mongo import codecs
from langchain_zepstore.mongo.adding.insertion import Insertion, Outcome
from langchain_zepstore.mongo.adding.known_ids import Repetition
from langchain_zepstore.mongo.adding.reservation import confirm, reserve
from langchain_zepstore.mongo.branches.edits import Edits
from langchain_zepstore.mongo.deletion.counts import changing
from langchain_zepstore.mongo.documents import Metadata, Stage
from langchain_zepstore.mongo.driver.database import Database
from langchain_zepstore.mongo.encoding import mergeable
from langchain_zepstore.mongo.expressions import literal, merged
from langchain_zepstore.mongo.message_reads import MessageReads, existing, live


class Messages(MessageReads):
    """Adds and reads messages."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._edits = Edits(database)

    def add(
        self,
        session_id: str,
        messages: Sequence[MessageParts],
        defaults: SessionDefaults | None = None,
        *,
        metadata: Metadata | None = None,
        keep_deleted: bool = False,
        known_ids: KnownIds | None = None,
        before: str | None = None,
    ) -> Operation[dict[str, str]]:
        """Store messages at the end of a session, or before a message, on a new branch.

        What cannot be stored is refused before the first write. A call goes in one insert, or in
        parts of up to 1,000 messages or 8 MB, in order.
        """
        patch = mergeable(metadata, "memory.metadata") if metadata else None
        sized = codecs.with_sizes(messages)
        if known_ids and known_ids.given:
            for body, _ in sized:
                if given := known_ids.given.get(body["uuid"]):
                    body["given"] = given
        if before is not None:
            yield from self._edits.edit(
                session_id, before, sized, patch, defaults, keep_deleted=keep_deleted
            )
            return {}
        repetition = Repetition(known_ids, keep_deleted=keep_deleted)
        yield from self.add_bodies(session_id, sized, patch, defaults, repetition)
        return repetition.new_ids

    def add_bodies(
        self,
        session_id: str,
        sized: Sequence[tuple[Stage, int]],
        metadata: Metadata | None = None,
        defaults: SessionDefaults | None = None,
        repetition: Repetition | None = None,
        *,
        incarnation: str | None = None,
    ) -> Operation[None]:
        """Store messages that are encoded already, each with its size; see ``reserve``."""
        if not sized and not metadata:
            return
        insertion = Insertion(self._database, session_id, sized, repetition)
        while True:
            reservation = yield from reserve(
                self._database,
                session_id,
                len(sized),
                metadata=metadata,
                defaults=defaults,
                incarnation=incarnation,
            )
            if repetition and repetition.branch_of and reservation.session.get("branched"):
                moved = yield from self._edits.on_branch_of(
                    repetition.branch_of, reservation, [body for body, _ in sized]
                )
                if moved is None:
                    continue
                reservation = moved
            if (yield from insertion.insert(reservation)) is Outcome.STORED:
                break
            # The whole call is repeated under new numbers, with what has landed already.
            if (yield from confirm(self._database, reservation)):
                metadata = None
            yield from insertion.give_way(reservation)
        yield from insertion.finish()

    def update(
        self,
        session_id: str,
        uuid: str,
        *,
        metadata: Metadata | None = None,
        content: str | None = None,
    ) -> Operation[Message]:
        """Merge metadata into a live message's and replace its words, in one update.

        With the old words goes what was made from them.
        """
        update: list[Stage] = []
        if metadata is not None:
            patch = mergeable(metadata, "metadata")
            update.append({"$set": {"metadata": merged("$metadata", patch)}})
        if content is not None:
            document = yield from self._document(session_id, uuid)
            message = Message(role=document["role"], content=content)
            tokens = lc_messages.approximate_tokens(message)
            fields: Stage = {"content": literal(content), "token_count": tokens}
            if given := codecs.given_for(document):
                fields["given"] = {"$ifNull": ["$given", given]}
            update += [{"$set": fields}, {"$unset": list(codecs.DERIVED_FIELDS)}]
        if not update:
            return (yield from self.get(session_id, uuid))
        updating = self._messages.find_one_and_update(
            {**live(session_id), "uuid": uuid}, update, fields=codecs.MESSAGE_FIELDS
        )
        if content is not None:
            updating = changing(self._database, [session_id], updating)
        updated = yield from updating
        return codecs.to_message(existing(updated, session_id, uuid))
