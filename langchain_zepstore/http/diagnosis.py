"""The state of the store as requests."""

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.http.transport import Requests, path
from langchain_zepstore.models import Finding, Stats


class Diagnosis:
    """Counts what is stored, and checks the store."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def stats(self) -> Operation[Stats]:
        """Return what is stored, in numbers."""
        answer = yield from self._requests.get(path("stats"))
        return answer.read(Stats, answer.data)

    def diagnose(self) -> Operation[list[Finding]]:
        """Return what the server finds in its database."""
        answer = yield from self._requests.get(path("diagnosis"))
        return answer.read_list(Finding, answer.data)
