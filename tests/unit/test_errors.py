"""The tree of errors, and which of them a driver's errors become."""

import pytest
from bson.errors import InvalidDocument
from pymongo import errors as driver
from pymongo.uri_parser import parse_uri

from langchain_zepstore import errors
from langchain_zepstore.errors import (
    AlreadyExistsError,
    APIError,
    AuthError,
    BadRequestError,
    NotFoundError,
    StoreUnavailableError,
    ZepStoreError,
)
from langchain_zepstore.mongo.driver.clients import display_name
from langchain_zepstore.mongo.driver.errors import (
    CannotWriteError,
    is_lost_connection,
    is_on_id,
    is_unreachable,
    is_write_conflict,
    translated,
)

TREE = {
    ZepStoreError: (Exception,),
    NotFoundError: (ZepStoreError,),
    AlreadyExistsError: (ZepStoreError,),
    BadRequestError: (ZepStoreError, ValueError),
    AuthError: (ZepStoreError,),
    APIError: (ZepStoreError,),
    StoreUnavailableError: (ZepStoreError, ConnectionError),
}
PLACE = "MongoDB at db.example:27017"


def test_the_error_tree_matches_the_module_docstring() -> None:
    assert {cls: cls.__bases__ for cls in TREE} == TREE
    made = {cls for cls in vars(errors).values() if isinstance(cls, type)}
    assert made == set(TREE)
    assert all(cls.__name__ in (errors.__doc__ or "") for cls in TREE)


@pytest.mark.parametrize("cls", TREE)
def test_the_default_message_is_the_docstring(cls) -> None:
    assert str(cls()) == cls.__doc__.strip()
    assert str(cls("what was wrong")) == "what was wrong"


def failure(code, message="it failed"):
    return driver.OperationFailure(message, code, {"code": code, "errmsg": message})


def bulk(failures, code, message):
    return driver.BulkWriteError({failures: [{"code": code, "errmsg": message}]})


@pytest.mark.promise("no driver's exception leaves the package; each message says what to do")
@pytest.mark.parametrize(
    ("error", "expected", "advice"),
    [
        (failure(18, "Authentication failed."), AuthError, "check user, password and authSource"),
        (failure(13, "not authorized on x"), AuthError, "roles"),
        (failure(8000, "bad auth"), AuthError, "check user"),
        (failure(10334, "BSONObj size"), BadRequestError, "16 MB"),
        (failure(17280, "key too large"), BadRequestError, "16 MB"),
        (failure(17419, "too large"), BadRequestError, "16 MB"),
        (failure(14031, "out of disk"), CannotWriteError, "make room"),
        (failure(8, "28: No space left on device"), CannotWriteError, "make room"),
        (failure(8, "122: Disk quota exceeded"), CannotWriteError, "make room"),
        (failure(8, "27: File too large"), CannotWriteError, "make room"),
        (failure(8000, "over your space quota"), CannotWriteError, "make room"),
        (failure(8, "30: Read-only file system"), CannotWriteError, "read-only"),
        (failure(20, "not in read-only mode"), CannotWriteError, "read-only"),
        (failure(371, "User writes blocked"), CannotWriteError, "read-only"),
        (bulk("writeErrors", 11602, "not primary"), StoreUnavailableError, "election"),
        (bulk("writeErrors", 14031, "out of disk"), CannotWriteError, "make room"),
        (bulk("writeErrors", 13, "not authorized on x"), AuthError, "roles"),
        (bulk("writeConcernErrors", 11602, "state change"), StoreUnavailableError, "may be stored"),
        (failure(8, "something else"), APIError, "something else"),
        (failure(20, "not allowed"), APIError, "not allowed"),
        (failure(1, "internal"), APIError, "internal"),
        (driver.ExecutionTimeout("exceeded", 50), StoreUnavailableError, "longer timeout"),
        (driver.NetworkTimeout("timed out"), StoreUnavailableError, "longer timeout"),
        (driver.WaitQueueTimeoutError("no socket"), StoreUnavailableError, "longer timeout"),
        (driver.WTimeoutError("waiting", 64), StoreUnavailableError, "same ids is safe"),
        (driver.WriteConcernError("no nodes", 100), StoreUnavailableError, "may be stored"),
        (driver.ServerSelectionTimeoutError("refused"), StoreUnavailableError, "MongoDB runs"),
        (driver.NotPrimaryError("stepped down"), StoreUnavailableError, "replicaSet="),
        (driver.NotPrimaryError("not primary"), StoreUnavailableError, "a secondary takes no"),
        (driver.AutoReconnect("closed"), StoreUnavailableError, "try again"),
        (driver.ConnectionFailure("closed"), StoreUnavailableError, "try again"),
        (driver.DocumentTooLarge("17 MB"), BadRequestError, "cannot hold this"),
        (InvalidDocument("cannot encode"), BadRequestError, "cannot hold this"),
        (OverflowError("8-byte ints"), BadRequestError, "cannot hold this"),
        (driver.InvalidURI("no host"), BadRequestError, "URL"),
        (driver.ConfigurationError("unknown option"), BadRequestError, "URL"),
        (ValueError("port"), BadRequestError, "URL"),
        (driver.InvalidName("no spaces"), BadRequestError, "no spaces"),
        (driver.InvalidOperation("closed"), BadRequestError, "any more"),
        (driver.ProtocolError("what?"), APIError, "what?"),
        (driver.DuplicateKeyError("E11000", 11000), AlreadyExistsError, "already"),
    ],
    ids=lambda value: f"{type(value).__name__}-{getattr(value, 'code', '')}",
)
def test_a_driver_error_is_translated_with_advice(error, expected, advice) -> None:
    ours = translated(error, PLACE)
    assert type(ours) is expected
    assert advice in str(ours)


@pytest.mark.parametrize(
    "error", [failure(18), driver.AutoReconnect("x"), driver.InvalidURI("x")], ids=repr
)
def test_an_error_names_the_deployment(error) -> None:
    assert PLACE in str(translated(error, PLACE))


def test_the_drivers_topology_dump_is_omitted() -> None:
    dumped = "refused (configured timeouts: 1ms), Timeout: 1s, Topology Description: <T>"
    said = str(translated(driver.ServerSelectionTimeoutError(dumped), PLACE))
    assert "refused" in said
    assert "Topology" not in said
    assert "configured timeouts" not in said


def test_the_drivers_document_dump_is_omitted() -> None:
    dumped = driver.OperationFailure("it failed", 1, {"code": 1, "$clusterTime": "noise"})
    assert "noise" in str(dumped)
    assert str(translated(dumped, PLACE)) == f"{PLACE} answered: it failed"


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://ada:S3CRET:S3CRET@host",
        "mongodb://ada:S3CRET@S3CRET@host",
        "mongodb://ada:S3CRET%zz@host",
        "mongodb://ada:S3CRET@host:99999",
        "mongodb://ada:S3CRET@host:port",
        "mongodb://ada:S3CRET@/",
        "mongodb://ada:S3CRET@host/?authMechanism=none",
        "mongodb://ada:S3CRET@host/?w=1&directConnection=perhaps&replicaSet",
        "mongodb://ada:S3CRET/S3CRET@host",
        "mongodb://ada:S3CRET?S3CRET@host",
        "mongodb://ada:S3CRET@[host",
    ],
)
def test_the_password_of_an_invalid_url_is_never_shown(url) -> None:
    with pytest.raises((driver.PyMongoError, ValueError)) as caught:
        parse_uri(url, warn=False)
    ours = translated(caught.value, display_name(url))
    assert type(ours) is BadRequestError
    assert "S3CRET" not in str(ours)


@pytest.mark.parametrize(
    ("error", "lost", "unreachable"),
    [
        (driver.AutoReconnect("closed"), True, False),
        (driver.NotPrimaryError("stepped down"), True, False),
        (driver.NetworkTimeout("timed out"), False, False),
        (driver.ServerSelectionTimeoutError("refused"), False, True),
        (driver.ConfigurationError("no"), False, False),
        (failure(18), False, False),
        (OverflowError(), False, False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_call_is_retried_after_a_lost_connection_but_not_after_a_timeout(
    error, lost, unreachable
) -> None:
    assert (is_lost_connection(error), is_unreachable(error)) == (lost, unreachable)


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        ({"keyPattern": {"_id": 1}, "errmsg": "E11000"}, True),
        ({"keyPattern": {"session_id": 1, "uuid": 1}, "errmsg": "E11000"}, False),
        ({"errmsg": "E11000 duplicate key error collection: db.messages index: _id_ dup"}, True),
        ({"errmsg": "Duplicate key violation on the collection: Index '_id_'"}, True),
        (
            {"errmsg": "E11000 duplicate key error collection: db.m index: by_uuid dup"},
            False,
        ),
        ({"errmsg": "Duplicate key violation on the collection: Index 'by_user_id_'"}, False),
    ],
)
def test_a_duplicate_key_error_is_recognized_by_its_index_name(failure, expected) -> None:
    assert is_on_id(failure) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (driver.OperationFailure("WriteConflict", 112), True),
        (driver.WriteError("WriteConflict", 112), True),
        (driver.BulkWriteError({"writeErrors": [{"code": 112, "errmsg": "WriteConflict"}]}), True),
        (driver.BulkWriteError({"writeErrors": [{"code": 11000, "errmsg": "E11000"}]}), False),
        (driver.OperationFailure("no", 13), False),
    ],
)
def test_a_write_conflict_is_recognized(error, expected) -> None:
    assert is_write_conflict(error) is expected
