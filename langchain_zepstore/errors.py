"""Every exception of the package.

    ZepStoreError
    ├── NotFoundError
    ├── AlreadyExistsError
    ├── BadRequestError          (also a ValueError)
    ├── AuthError
    ├── APIError
    └── StoreUnavailableError    (also a ConnectionError)

No exception of pymongo, motor or httpx leaves the package: each is translated into one of these,
with the original as its ``__cause__``.
"""


class ZepStoreError(Exception):
    """Something went wrong in the chat store."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").splitlines()[0])


class NotFoundError(ZepStoreError):
    """There is no such session, message or user, or it is deleted."""


class AlreadyExistsError(ZepStoreError):
    """A live session or user with that id exists already."""


class BadRequestError(ZepStoreError, ValueError):
    """An argument cannot be used; nothing was stored."""


class AuthError(ZepStoreError):
    """The database or server refused the credentials."""


class APIError(ZepStoreError):
    """The database or server gave an answer that makes no sense here."""


class StoreUnavailableError(ZepStoreError, ConnectionError):
    """The database or server cannot be reached, or no embedded mongod is installed."""
