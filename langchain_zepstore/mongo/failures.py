"""What went wrong in a driver, as an error of ours that says what to do."""

from bson.errors import BSONError
from pymongo import errors

from langchain_zepstore.errors import (
    APIError,
    AuthError,
    BadRequestError,
    StoreUnavailableError,
    ZepStoreError,
)

DRIVER_ERRORS = (errors.PyMongoError, BSONError, OverflowError)

_REFUSED = {13, 18, 8000}
_TOO_LARGE = {10334, 17280, 17419, 17420}
_OUT_OF_SPACE = 14031
_FULL_HINT = "its disk is full; make room, then try again"


def is_lost_connection(error: BaseException) -> bool:
    """Whether the server went away during the call, which may or may not have been carried out."""
    return (
        isinstance(error, errors.AutoReconnect)
        and not error.timeout
        and not isinstance(error, errors.ServerSelectionTimeoutError)
    )


def is_unreachable(error: BaseException) -> bool:
    """Whether no server could be found at all."""
    return isinstance(error, errors.ServerSelectionTimeoutError)


def translated(error: BaseException, place: str) -> ZepStoreError:
    """Return the error of ours for one of a driver's.

    Args:
        error: What the driver raised.
        place: The database's name for a reader, without credentials.
    """
    reason = str(error).split(", Timeout:")[0].split(" (configured timeouts")[0]
    code = getattr(error, "code", None)
    if isinstance(error, errors.OperationFailure):
        if code in _REFUSED:
            return AuthError(
                f"{place} refused the credentials ({reason}); "
                "check user, password and authSource in the URL, and the user's roles"
            )
        if code in _TOO_LARGE:
            return BadRequestError(f"larger than a document of MongoDB can be (16 MB): {reason}")
        if code == _OUT_OF_SPACE:
            return StoreUnavailableError(f"{place} cannot write: {_FULL_HINT}")
    match error:
        case errors.DocumentTooLarge() | BSONError() | OverflowError():
            return BadRequestError(f"MongoDB cannot hold this: {reason}")
        case errors.InvalidURI() | errors.ConfigurationError() | ValueError() | TypeError():
            return BadRequestError(f"the URL of {place} cannot be used: {reason}")
        case errors.InvalidOperation():
            return BadRequestError(f"the client for {place} cannot be used any more: {reason}")
        case errors.WTimeoutError() | errors.WriteConcernError():
            return StoreUnavailableError(
                f"{place} could not confirm that the write is durable ({reason}); "
                "it may be stored; repeating it with the same ids is safe"
            )
        case errors.ServerSelectionTimeoutError():
            return StoreUnavailableError(
                f"cannot reach {place} ({reason}); check that MongoDB runs there, that host, port "
                "and network are right, and that the replica set has a primary"
            )
        case errors.NotPrimaryError():
            return StoreUnavailableError(
                f"{place} has no primary at the moment ({reason}); an election takes seconds: "
                "try again, and name the replica set in the URL (replicaSet=…)"
            )
        case errors.PyMongoError() if error.timeout:
            return StoreUnavailableError(
                f"{place} did not answer in time ({reason}); try again, or give the client a "
                "longer timeout"
            )
        case errors.ConnectionFailure():
            return StoreUnavailableError(f"lost the connection to {place} ({reason}); try again")
    return APIError(f"{place} answered: {reason}")
