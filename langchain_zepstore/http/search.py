"""Search as a request."""

from langchain_zepstore.http.requests import Requests, path
from langchain_zepstore.models import MemorySearchResult, Message
from langchain_zepstore.running import Operation
from langchain_zepstore.store import Sought
from langchain_zepstore.values import encoded_metadata, unescape
from langchain_zepstore.wire import exact


class Search:
    """Finds messages."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def find(self, sought: Sought) -> Operation[list[MemorySearchResult]]:
        """Return the messages that match best, the best first."""
        body = {
            "text": sought.text,
            "session_id": sought.session_id,
            "user_id": sought.user_id,
            "limit": sought.limit,
            "start_date": sought.since,
            "end_date": sought.until,
        }
        if sought.metadata:
            body["metadata"] = exact(unescape(encoded_metadata(sought.metadata, "metadata")))
        answer = yield from self._requests.send("POST", path("search"), body=body, repeatable=True)
        return [
            MemorySearchResult(
                message=answer.read(Message, result.get("message")),
                session_id=result.get("session_id"),
                score=result.get("score"),
                dist=result.get("dist"),
            )
            for result in answer.objects(answer.data)
        ]
