"""Turns errors of the drivers into errors of ours that name the cure."""

import re
from collections.abc import Mapping
from typing import Any

from bson.errors import BSONError
from pymongo import errors

from langchain_zepstore.errors import (
    AlreadyExistsError,
    APIError,
    AuthError,
    BadRequestError,
    StoreUnavailableError,
    ZepStoreError,
)

DRIVER_ERRORS = (errors.PyMongoError, BSONError, OverflowError)

UNAUTHORIZED = 13
INDEX_CONFLICTS = frozenset({85, 86})
"""There is an index of that name with other options, or one with the same keys."""
_WRITE_CONFLICT = 112
# A server that stops, or stops being the primary, in the middle of a write says so in its answer.
_LEAVING = {91, 189, 10058, 10107, 11600, 11602, 13435, 13436}
_TIME_IS_UP = {50, 262}  # what a server answers to a call with a limit
_NO_ENTRY = "Authentication failed"

_REFUSED = (
    AuthError,
    (
        "{name} refused the credentials ({reason}); check user, password and authSource in the "
        "URL, and the user's roles"
    ),
)
_INDEX_NOT_FOUND = 27
_BAD_VALUE = 2


class MissingIndexError(StoreUnavailableError):
    """The index that a query needs is not there, or not ready yet."""


class CannotWriteError(StoreUnavailableError):
    """The database only serves reads: its disk is full, or it is read-only."""


_NO_INDEX = (
    MissingIndexError,
    "{name} has no index to search by yet ({reason}); while it is being built, try again",
)
_FULL = (
    CannotWriteError,
    "{name} cannot write: its disk is full ({reason}); make room, then try again",
)
_READ_ONLY = (
    CannotWriteError,
    "{name} is read-only at the moment ({reason}); what writes has to be tried again later",
)
# Some codes mean many things: the words tell which.
_BY_CODE: list[tuple[set[int], str, tuple[type[ZepStoreError], str]]] = [
    ({14031}, "", _FULL),
    ({8}, "No space left on device", _FULL),
    ({8}, "Disk quota exceeded", _FULL),
    ({8}, "File too large", _FULL),
    ({8000}, "space quota", _FULL),  # of Atlas
    ({8}, "Read-only file system", _READ_ONLY),
    ({_INDEX_NOT_FOUND}, "", _NO_INDEX),
    ({_BAD_VALUE}, "hint provided does not correspond", _NO_INDEX),
    ({20}, "read-only mode", _READ_ONLY),
    ({371}, "", _READ_ONLY),
    ({UNAUTHORIZED, 18, 8000}, "", _REFUSED),
    (
        {_WRITE_CONFLICT},
        "",
        (StoreUnavailableError, "{name} kept meeting other writes ({reason}); try again"),
    ),
    (
        {10334, 17280, 17419, 17420},
        "",
        (BadRequestError, "larger than a document of MongoDB can be (16 MB): {reason}"),
    ),
]
_TIMED_OUT = (
    StoreUnavailableError,
    "{name} did not answer in time ({reason}); try again, or give the client a longer timeout",
)
_NO_PRIMARY = (
    StoreUnavailableError,
    (
        "{name} is no primary at the moment ({reason}); an election takes seconds: try again, "
        "and name the replica set in the URL (replicaSet=…), since a secondary takes no writes"
    ),
)
_BY_TYPE: list[tuple[tuple[type[Exception], ...], type[ZepStoreError], str]] = [
    (
        (errors.DocumentTooLarge, BSONError, OverflowError),
        BadRequestError,
        "MongoDB cannot hold this: {reason}",
    ),
    (
        (
            errors.InvalidURI,
            errors.InvalidName,
            errors.ConfigurationError,
            ValueError,
            TypeError,
            OSError,
        ),
        BadRequestError,
        "the URL of {name} cannot be used: {reason}",
    ),
    ((errors.DuplicateKeyError,), AlreadyExistsError, "{name} has it already: {reason}"),
    (
        (errors.InvalidOperation,),
        BadRequestError,
        "the client for {name} cannot be used any more: {reason}",
    ),
    (
        (errors.WTimeoutError, errors.WriteConcernError),
        StoreUnavailableError,
        (
            "{name} could not confirm that the write is durable ({reason}); it may be stored; "
            "repeating it with the same ids is safe"
        ),
    ),
    (
        (errors.ServerSelectionTimeoutError,),
        StoreUnavailableError,
        (
            "cannot reach {name} ({reason}); check that MongoDB runs there (if it stopped, its "
            "log says why: a full disk, perhaps), that host, port and network are right, and that "
            "the replica set has a primary"
        ),
    ),
    ((errors.NotPrimaryError,), *_NO_PRIMARY),
]
_LOST = (StoreUnavailableError, "lost the connection to {name} ({reason}); try again")


_UNKNOWN = (APIError, "{name} answered: {reason}")


def is_forbidden(error: AuthError) -> bool:
    """Return whether the user lacks a right, and did not just fail to log in."""
    cause = error.__cause__
    return getattr(cause, "code", None) == UNAUTHORIZED and "authentication" not in str(cause)


def is_lost_connection(error: BaseException) -> bool:
    """Return whether the server went away during the call, which may have been carried out."""
    return _is_leaving(error) or (
        isinstance(error, errors.AutoReconnect)
        and not error.timeout
        and not isinstance(error, errors.ServerSelectionTimeoutError)
    )


def is_write_conflict(error: BaseException) -> bool:
    """Return whether the server gave a write up for another one that went on at the same time."""
    failures: list[Mapping[str, Any]] = []
    if isinstance(error, errors.BulkWriteError):
        failures = error.details["writeErrors"]
    codes = {getattr(error, "code", None), *(failure["code"] for failure in failures)}
    return _WRITE_CONFLICT in codes


def is_on_id(failure: Mapping[str, Any]) -> bool:
    """Return whether it was the ``_id`` of a document that an insert found taken."""
    if pattern := failure.get("keyPattern"):
        return "_id" in pattern
    # MongoDB's relatives only name the index.
    return bool(re.search(r"\b_id_\b", failure["errmsg"]))


def refused_write(failure: Mapping[str, Any]) -> errors.PyMongoError:
    """Return the driver's error for one of the documents that an insert refused."""
    return errors.WriteError(failure["errmsg"], failure["code"], failure)


def _of_one_write(error: BaseException) -> BaseException:
    """Return the error that a write alone raises for what failed first in a bulk."""
    if not isinstance(error, errors.BulkWriteError):
        return error
    for failures, error_class in (
        ("writeErrors", errors.WriteError),
        ("writeConcernErrors", errors.WriteConcernError),
    ):
        for failure in error.details.get(failures, ()):
            return error_class(failure.get("errmsg", ""), failure.get("code"), failure)
    return error


def _is_leaving(error: BaseException) -> bool:
    error = _of_one_write(error)
    return isinstance(error, errors.WriteError) and error.code in _LEAVING


def is_unreachable(error: BaseException) -> bool:
    """Return whether no server could be found at all."""
    return isinstance(error, errors.ServerSelectionTimeoutError)


def translated(error: BaseException, name: str) -> ZepStoreError:
    """Return the error of ours for one of a driver's.

    Args:
        error: What the driver raised.
        name: The database's name for a reader, without credentials.
    """
    error = _of_one_write(error)
    error_class, message = _template(error)
    reason = str(error)
    for ballast in (", full error: ", ", Timeout:", " (configured timeouts"):
        reason = reason.partition(ballast)[0]
    return error_class(message.format(name=name, reason=reason))


def _template(error: BaseException) -> tuple[type[ZepStoreError], str]:
    code = getattr(error, "code", None)
    for codes, words, template in _BY_CODE:
        if code in codes and words in str(error):
            return template
    if isinstance(error, errors.ServerSelectionTimeoutError) and _NO_ENTRY in str(error):
        return _REFUSED  # the driver remembers it from the call before
    for types, error_class, message in _BY_TYPE:
        if isinstance(error, types):
            return error_class, message
    if _is_leaving(error):
        return _NO_PRIMARY
    if isinstance(error, errors.PyMongoError) and (error.timeout or code in _TIME_IS_UP):
        return _TIMED_OUT
    return _LOST if isinstance(error, errors.ConnectionFailure) else _UNKNOWN
