"""What a store of sessions is to its users, in plain Python: what the real one is compared with."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from langchain_zepstore import AlreadyExistsError, NotFoundError


@dataclass
class ModelMessage:
    uuid: str
    content: str
    deletion: object = None


@dataclass
class ModelSession:
    metadata: dict[str, Any] | None = None
    messages: list[ModelMessage] = field(default_factory=list)
    live: bool = True
    deletion: object = None
    title: str | None = None
    pinned: bool = False

    def find(self, uuid: str) -> ModelMessage:
        for message in self.messages:
            if message.uuid == uuid:
                return message
        raise NotFoundError(uuid)


class Model:
    """Sessions by id. Each method does what the method of the store does, or raises as it does."""

    def __init__(self) -> None:
        self.sessions: dict[str, ModelSession] = {}

    def add(self, session_id: str, messages: list[tuple[str, str]]) -> None:
        session = self.sessions.setdefault(session_id, ModelSession())
        session.live = True
        for uuid, content in dict(messages).items():
            try:
                found = session.find(uuid)
            except NotFoundError:
                found = None
            if found and not found.deletion:
                found.content = content
                continue
            if found:
                session.messages.remove(found)
            session.messages.append(ModelMessage(uuid, content))

    def create(self, session_id: str, metadata: dict[str, Any] | None) -> None:
        session = self.sessions.setdefault(session_id, ModelSession(live=False))
        if session.live:
            raise AlreadyExistsError
        session.live, session.metadata = True, deepcopy(metadata)

    def update(self, session_id: str, metadata: dict[str, Any]) -> None:
        session = self._session(session_id)
        session.live = True
        patch = {key: value for key, value in metadata.items() if key != "system"}
        session.metadata = merge(session.metadata or {}, patch)

    def organize(self, session_id: str, title: str | None, pinned: bool) -> None:
        session = self._session(session_id)
        if not session.live:
            raise NotFoundError
        session.title, session.pinned = title, pinned

    def erase_session(self, session_id: str) -> None:
        self.sessions.pop(session_id, None)

    def erase_user(self) -> None:
        self.sessions.clear()

    def update_message(self, session_id: str, uuid: str, content: str) -> None:
        message = self._session(session_id).find(uuid)
        if message.deletion:
            raise NotFoundError
        message.content = content

    def delete(self, session_id: str) -> None:
        session = self._session(session_id)
        if not session.live:
            raise NotFoundError
        session.live, session.deletion = False, object()
        for message in session.messages:
            message.deletion = message.deletion or session.deletion

    def undelete(self, session_id: str) -> None:
        session = self._session(session_id)
        taken = [message for message in session.messages if message.deletion is session.deletion]
        if not session.deletion or (session.live and not taken):
            raise NotFoundError
        for message in session.messages:
            if message.deletion is session.deletion:
                message.deletion = None
        session.live, session.deletion = True, None

    def delete_message(self, session_id: str, uuid: str) -> None:
        message = self._session(session_id).find(uuid)
        if message.deletion:
            raise NotFoundError
        message.deletion = object()

    def undelete_message(self, session_id: str, uuid: str) -> None:
        session = self._session(session_id)
        message = session.find(uuid)
        if not message.deletion or not session.live:
            raise NotFoundError
        message.deletion = None

    def purge(self) -> None:
        for session_id, session in list(self.sessions.items()):
            session.messages = [message for message in session.messages if not message.deletion]
            if not session.live:
                del self.sessions[session_id]

    def view(self, session_id: str) -> "View":
        """What a user sees: metadata, title and pin of a session that lives, and its messages."""
        session = self.sessions.get(session_id)
        if session is None or not session.live:
            return None, []
        live = [(m.uuid, m.content) for m in session.messages if not m.deletion]
        return (session.metadata, session.title, session.pinned), live

    def previews(self) -> dict[str, tuple[int, str | None]]:
        """The count of messages and the last one's id, of sessions that live."""
        views = {name: self.view(name)[1] for name, each in self.sessions.items() if each.live}
        return {
            name: (len(messages), messages[-1][0] if messages else None)
            for name, messages in views.items()
        }

    def _session(self, session_id: str) -> ModelSession:
        if session_id not in self.sessions:
            raise NotFoundError
        return self.sessions[session_id]


View = tuple[tuple[dict[str, Any] | None, str | None, bool] | None, list[tuple[str, str]]]


def merge(old: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """Merge metadata as Zep does."""
    result = dict(old)
    for key, value in patch.items():
        if isinstance(value, dict):
            inner = result.get(key)
            result[key] = merge(inner if isinstance(inner, dict) else {}, value)
        else:
            result[key] = value
    return result
