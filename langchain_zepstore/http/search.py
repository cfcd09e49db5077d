"""Search as requests."""

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.core.results import EmbeddingPage
from langchain_zepstore.core.search_query import SearchQuery
from langchain_zepstore.http.transport import Requests, marked_metadata, path
from langchain_zepstore.models import MemorySearchResult


class Search:
    """Finds messages and summaries."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def find(self, query: SearchQuery) -> Operation[list[MemorySearchResult]]:
        """Return the best matches, the best first."""
        body = query.given()
        if query.metadata:
            body["metadata"] = marked_metadata(query.metadata, "metadata")
        answer = yield from self._requests.send("POST", path("search"), body=body, repeatable=True)
        return answer.read_list(MemorySearchResult, answer.data)

    def index(self, session_id: str | None, user_id: str | None) -> Operation[int]:
        """Index messages that no search by words has met yet, for about a second."""
        body = {"session_id": session_id, "user_id": user_id}
        answer = yield from self._requests.send("POST", path("index"), body=body, repeatable=True)
        return answer.count("indexed")

    def embed(
        self, session_id: str | None, user_id: str | None, after: str | None, limit: int
    ) -> Operation[EmbeddingPage]:
        """Make the vectors that a page of messages lacks."""
        body = {"session_id": session_id, "user_id": user_id, "after": after, "limit": limit}
        answer = yield from self._requests.send("POST", path("embed"), body=body, repeatable=True)
        return EmbeddingPage(
            total=answer.count("total"),
            seen=answer.count("seen"),
            made=answer.count("made"),
            cursor=answer.text("cursor"),
        )
