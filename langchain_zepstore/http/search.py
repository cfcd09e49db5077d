"""Search as requests."""

from typing import Any

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.store import Embedded, Sought
from langchain_zepstore.filters.where import rendered
from langchain_zepstore.http.transport import Requests, marked_metadata, path
from langchain_zepstore.models import MemorySearchResult, Message, Summary


class Search:
    """Finds messages and summaries."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def find(self, sought: Sought) -> Operation[list[MemorySearchResult]]:
        """Return what matches best, the best first."""
        body: dict[str, Any] = {
            "text": sought.text,
            "session_id": sought.session_id,
            "user_id": sought.user_id,
            "limit": sought.limit,
            "search_type": sought.kind,
            "search_scope": "summary" if sought.in_summaries else "messages",
            "where": rendered(sought.where) if sought.where else None,
            "start_date": sought.since,
            "end_date": sought.until,
            "mmr_lambda": sought.mmr_lambda,
            "similarity_weight": sought.similarity_weight,
            "syntax": sought.has_syntax,
        }
        if sought.metadata:
            body["metadata"] = marked_metadata(sought.metadata, "metadata")
        answer = yield from self._requests.send("POST", path("search"), body=body, repeatable=True)
        results = []
        for result in answer.objects(answer.data):
            fields = dict(result)
            for name, kind in (("message", Message), ("summary", Summary)):
                if fields.get(name) is not None:
                    fields[name] = answer.read(kind, fields[name])
            results.append(answer.read(MemorySearchResult, fields))
        return results

    def embed(
        self, session_id: str | None, user_id: str | None, after: str | None, limit: int
    ) -> Operation[Embedded]:
        """Make the vectors that a page of messages lacks."""
        body = {"session_id": session_id, "user_id": user_id, "after": after, "limit": limit}
        answer = yield from self._requests.send("POST", path("embed"), body=body, repeatable=True)
        return Embedded(
            total=answer.count("total"),
            seen=answer.count("seen"),
            made=answer.count("made"),
            cursor=answer.text("cursor"),
        )
