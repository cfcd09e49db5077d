"""Export and import as requests."""

from collections.abc import Sequence

from langchain_zepstore.core.operation import Operation, Page
from langchain_zepstore.core.records import Record
from langchain_zepstore.http.transport import Requests, path
from langchain_zepstore.messages.marks import JSON


class Transfer:
    """Exports and imports."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def page(
        self, user_id: str | None, session_id: str | None, cursor: str | None
    ) -> Operation[Page[Record]]:
        """Return the next records of an export, and the cursor of the page after them."""
        body = {"user_id": user_id, "session_id": session_id, "cursor": cursor}
        answer = yield from self._requests.send("POST", path("export"), body=body, repeatable=True)
        records = [dict(each) for each in answer.objects(answer.field("records"))]
        return Page(records, answer.text("cursor"))

    def load(self, records: Sequence[Record]) -> Operation[list[str | None]]:
        """Store records; return for each why it was refused, or ``None``."""
        body = {"records": JSON.mark(list(records))}
        answer = yield from self._requests.send("POST", path("import"), body=body, repeatable=True)
        reasons: list[str | None] = answer.field("reasons")
        return reasons
