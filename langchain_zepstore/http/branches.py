"""Operations on branches as requests."""

from collections.abc import Collection, Sequence

from langchain_zepstore.core.arguments import GivenMessage
from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.results import Resumption
from langchain_zepstore.http.transport import Requests, path
from langchain_zepstore.messages.langchain import to_langchain
from langchain_zepstore.models import Branch, Message, Session


class Branches:
    """Rewinds, switches, lists and copies branches."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def rewind(self, session_id: str, before: str) -> Operation[None]:
        """End the active branch before a live message."""
        yield from self._requests.send(
            "POST", path("sessions", session_id, "rewind"), body={"before": before}, repeatable=True
        )

    def switch(self, session_id: str, uuid: str) -> Operation[None]:
        """Activate the last active branch that holds a live message."""
        yield from self._requests.send(
            "POST",
            path("sessions", session_id, "switch-branch"),
            body={"message_id": uuid},
            repeatable=True,
        )

    def resume(
        self,
        session_id: str,
        lastn: int,
        given: Sequence[GivenMessage],
        *,
        start_on: Collection[str] = (),
        user_id: str | None = None,
    ) -> Operation[Resumption]:
        """Return the history that an agent's run with this input resumes from."""
        body = {
            "lastn": lastn,
            "start_on": sorted(start_on),
            "user_id": user_id,
            "given": [each.given() for each in given],
        }
        answer = yield from self._requests.send(
            "POST", path("sessions", session_id, "resume"), body=body, repeatable=True
        )
        messages = answer.read_list(Message, answer.field("messages"))
        return Resumption(
            [to_langchain(message) for message in messages],
            answer.field("repeated"),
            answer.field("edited"),
            answer.field("previous"),
        )

    def listed(self, session_id: str) -> Operation[list[Branch]]:
        """Return a session's branches, in the order of their making."""
        answer = yield from self._requests.get(path("sessions", session_id, "branches"))
        return answer.read_list(Branch, answer.data)

    def alternatives(self, session_id: str, uuid: str) -> Operation[list[Message]]:
        """Return the alternatives of a live message in all branches, itself included."""
        where = path("sessions", session_id, "messages", uuid, "alternatives")
        answer = yield from self._requests.get(where)
        return answer.read_list(Message, answer.data)

    def fork(
        self, session_id: str, at: str | None, new_session_id: str | None
    ) -> Operation[Session]:
        """Create a session with a copy of the active branch, or of the branch up to a message."""
        body = {"at": at, "new_session_id": new_session_id}
        answer = yield from self._requests.send(
            "POST", path("sessions", session_id, "fork"), body=body
        )
        return answer.read(Session, answer.data)
