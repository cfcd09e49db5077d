"""The state of the store as requests."""

from langchain_zepstore.core.operation import Operation
from langchain_zepstore.errors import AuthError, NotFoundError
from langchain_zepstore.http.transport import Requests, path
from langchain_zepstore.models import Activity, Finding, Stats

_NAME = "http server"


class Diagnosis:
    """Counts documents, and checks the store."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    def stats(self) -> Operation[Stats]:
        """Return statistics of the store."""
        answer = yield from self._requests.get(path("stats"))
        return answer.read(Stats, answer.data)

    def activity(self, user_id: str | None) -> Operation[Activity]:
        """Return statistics of recent activity."""
        answer = yield from self._requests.get(path("activity"), user_id=user_id)
        return answer.read(Activity, answer.data)

    def diagnose(self, *, mend: bool) -> Operation[list[Finding]]:
        """Return the server's answer, and its findings about its database."""
        method = "POST" if mend else "GET"
        try:
            answer = yield from self._requests.send(method, path("diagnosis"), repeatable=True)
        except AuthError as error:
            cure = "use a key for all users" + " that may write" * mend
            return [Finding(name=_NAME, level="warning", message=str(error), cure=cure)]
        except NotFoundError:
            message = "it is Zep's server, or an old one: it cannot check its store"
            cure = 'serve with this version: pip install -U "langchain-zepstore[server]"'
            return [Finding(name=_NAME, level="warning", message=message, cure=cure)]
        version = answer.headers.get("x-zep-version", "unknown")
        here = Finding(name=_NAME, level="ok", message=f"it answers, version {version}")
        return [here, *answer.read_list(Finding, answer.data)]
