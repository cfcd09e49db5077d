"""``ZepClient``: its URL selects the backend."""

from typing import TYPE_CHECKING, Any

from langchain_zepstore.history import ZepChatMessageHistory
from langchain_zepstore.messages.langchain import StartOn
from langchain_zepstore.store_client import StoreClient

if TYPE_CHECKING:
    from langchain_zepstore.retriever import ZepRetriever


class ZepClient(StoreClient):
    """A store of chat sessions, with the names of zep-python.

    Building one does no I/O: connections, indexes and the embedded server come with the first call.
    It works from many threads, from one event loop after another (not with an ``async_client``
    passed in), and after a fork. It is a sync and an async context manager. It pickles as its
    arguments, credentials among them, unless drivers' clients were passed in; what is unpickled
    from the same arguments shares one client in a process. A copy is the client itself.

    Args:
        url: ``mongodb://…`` or ``mongodb+srv://…``; ``http://…`` or ``https://…`` for a zepstore
            server; ``embedded:`` for a mongod of its own in the user's data directory,
            ``embedded:///some/dir`` for one in that directory. Without one, ``$ZEPSTORE_URL``, and
            without that ``embedded:``.
        base_url: The same, as zep-python 1.x calls it.
        api_url: The same, as zep-python 2.0 calls it.
        api_key: What a server asks for; ignored for MongoDB.
        database: The database's name; the URL's if not given, else ``zepstore``.
        client: A ready ``pymongo.MongoClient`` for the synchronous calls, or with an http URL an
            ``httpx.Client``; the caller closes it.
        async_client: A ready ``motor.AsyncIOMotorClient`` or ``pymongo.AsyncMongoClient`` for the
            asynchronous calls, or with an http URL an ``httpx.AsyncClient``; the caller closes it.
        async_driver: What to open for asynchronous calls: ``motor``, or ``pymongo`` for its
            ``AsyncMongoClient``.
        embeddings: What makes vectors for searching by meaning: any of LangChain's ``Embeddings``.
            Needs the extra ``vector``. Vectors are kept under the class's name and the model's, and
            made anew by another model.
        language: What messages are searched in by words: ``german``, ``french``, … (those that
            MongoDB knows), or ``none`` for words as they stand. ``None`` leaves the database's
            setting as it is, which is ``english`` when first made. A value given changes it for
            all, and makes the index anew.
        retention: How long the database keeps what is soft-deleted; ``None`` leaves its setting as
            it is, which is 30 days when first made. A value given changes it for all.
        timeout: Seconds for each driver call or request, with its repeats. Options of a MongoDB
            URL take precedence.

    Attributes:
        memory: The session manager.
        message: The messages one by one.
        user: The user manager.

    Raises:
        BadRequestError: The URL has a scheme that is not known, or arguments contradict each other.
    """

    def chat_history(
        self,
        session_id: str,
        *,
        lastn: int | None = None,
        start_on: StartOn | None = None,
        user_id: str | None = None,
        session_metadata: dict[str, Any] | None = None,
    ) -> ZepChatMessageHistory:
        """Return a LangChain chat history on a session; no I/O.

        Fit to be given to ``RunnableWithMessageHistory`` as it is: ``client.chat_history``.

        Args:
            session_id: The session's id.
            lastn: As for ``ZepChatMessageHistory``.
            start_on: As for ``ZepChatMessageHistory``.
            user_id: As for ``ZepChatMessageHistory``.
            session_metadata: As for ``ZepChatMessageHistory``.

        Raises:
            BadRequestError: An argument cannot be used.
        """
        return ZepChatMessageHistory(
            session_id,
            client=self,
            lastn=lastn,
            start_on=start_on,
            user_id=user_id,
            session_metadata=session_metadata,
        )

    def as_retriever(self, **options: Any) -> "ZepRetriever":
        """Return a LangChain retriever over messages; no I/O.

        Args:
            **options: The arguments of ``ZepRetriever`` but ``client`` and ``url``: ``session_id``
                or ``user_id``, ``k``, ``window`` and so on. In one user's view it searches all of
                that user's sessions if neither is given.

        Raises:
            BadRequestError: An argument is missing or cannot be used.
        """
        from langchain_zepstore.retriever import ZepRetriever  # noqa: PLC0415 - slow to import

        if self.user_id is not None and options.get("session_id") is None:
            options.setdefault("user_id", self.user_id)
        return ZepRetriever(client=self, **options)
