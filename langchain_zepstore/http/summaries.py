"""Summaries as requests."""

from typing import Any

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.results import SummaryInput
from langchain_zepstore.http.responses import Answer
from langchain_zepstore.http.transport import Requests, marked_metadata, path
from langchain_zepstore.models import Message, Summary


class Summaries:
    """Keeps the summaries of sessions."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def get(self, session_id: str, user_id: str | None = None) -> Operation[Summary | None]:
        """Return a live session's summary."""
        where = path("sessions", session_id, "memory")
        answer = yield from self._requests.get(where, lastn=0, user_id=user_id)
        return answer.read_memory(answer.data).summary

    def pending(self, session_id: str, limit: int) -> Operation[SummaryInput]:
        """Return a live session's summary and the messages after it."""
        answer = yield from self._requests.get(
            path("unsummarized"), session_id=session_id, limit=limit
        )
        messages = answer.read_list(Message, answer.field("messages"))
        return SummaryInput(_summary(answer), messages, answer.text("state") or "")

    def put(
        self, session_id: str, summary: Summary, replacing: str | None, state: str
    ) -> Operation[Summary | None]:
        """Store a summary in the place of the one with that uuid."""
        fields: dict[str, Any] = summary.model_dump(exclude={"metadata"})
        if summary.metadata is not None:
            fields["metadata"] = marked_metadata(summary.metadata, "summary.metadata")
        body = {
            "session_id": session_id,
            "summary": fields,
            "replacing": replacing,
            "state": state,
        }
        answer = yield from self._requests.send("POST", path("summary"), body=body, repeatable=True)
        return _summary(answer)


def _summary(answer: Answer) -> Summary | None:
    fields = answer.field("summary")
    return None if fields is None else answer.read(Summary, fields)
