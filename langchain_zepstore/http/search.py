"""Search as a request."""

from typing import Any

from langchain_zepstore.http.requests import Requests, marked_metadata, path
from langchain_zepstore.models import MemorySearchResult, Message
from langchain_zepstore.running import Operation
from langchain_zepstore.store import Sought


class Search:
    """Finds messages."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def find(self, sought: Sought) -> Operation[list[MemorySearchResult]]:
        """Return the messages that match best, the best first."""
        body: dict[str, Any] = {
            "text": sought.text,
            "session_id": sought.session_id,
            "user_id": sought.user_id,
            "limit": sought.limit,
            "start_date": sought.since,
            "end_date": sought.until,
        }
        if sought.metadata:
            body["metadata"] = marked_metadata(sought.metadata, "metadata")
        answer = yield from self._requests.send("POST", path("search"), body=body, repeatable=True)
        return [
            answer.read(
                MemorySearchResult,
                {**result, "message": answer.read(Message, result.get("message"))},
            )
            for result in answer.objects(answer.data)
        ]
