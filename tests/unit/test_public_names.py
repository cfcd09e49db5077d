"""What a user can import and call: listed, documented, and there twice, sync and async."""

import inspect

import pytest

import langchain_zepstore
from langchain_zepstore import ZepChatMessageHistory, ZepClient

PUBLIC = [
    "APIError",
    "AlreadyExistsError",
    "AuthError",
    "BadRequestError",
    "Branch",
    "CreateUserRequest",
    "Finding",
    "Memory",
    "MemorySearchPayload",
    "MemorySearchResult",
    "Message",
    "NotFoundError",
    "Session",
    "SessionPage",
    "Stats",
    "StoreUnavailableError",
    "Summary",
    "UpdateUserRequest",
    "User",
    "ZepChatMessageHistory",
    "ZepClient",
    "ZepRetriever",
    "ZepStoreError",
]
MANAGERS = [
    type(value) for value in vars(ZepClient("mongodb://h")).values() if "Manager" in repr(value)
]
CLASSES = [ZepClient, ZepChatMessageHistory, *MANAGERS]
NO_TWIN = {
    (ZepClient, "as_retriever"),  # does no I/O
    (ZepClient, "chat_history"),  # does no I/O
    (ZepChatMessageHistory, "aget_messages"),  # the twin of the property messages
}


def methods(cls):
    return {
        name: member
        for name, member in vars(cls).items()
        if not name.startswith("_") and inspect.isfunction(member)
    }


def is_async(method) -> bool:
    returned = str(method.__annotations__.get("return", ""))
    return inspect.iscoroutinefunction(method) or "Async" in returned


EVERY_METHOD = [(cls, name, method) for cls in CLASSES for name, method in methods(cls).items()]


@pytest.mark.promise("public names, all documented")
def test_public_names_match_the_list_and_are_sorted() -> None:
    assert langchain_zepstore.__all__ == PUBLIC
    assert sorted(PUBLIC) == PUBLIC


def test_all_managers_are_found() -> None:
    assert {"MemoryManager", "MessageManager", "UserManager"} <= {cls.__name__ for cls in MANAGERS}


@pytest.mark.promise("public names, all documented")
def test_every_public_name_is_documented_where_it_is_defined() -> None:
    for name in PUBLIC:
        assert vars(getattr(langchain_zepstore, name))["__doc__"].strip(), name


def test_every_manager_is_documented() -> None:
    for manager in MANAGERS:
        assert vars(manager)["__doc__"].strip(), manager


def test_every_method_is_documented() -> None:
    for cls, name, method in EVERY_METHOD:
        assert (method.__doc__ or "").strip().endswith((".", '"')), f"{cls.__name__}.{name}"


def test_every_property_is_documented() -> None:
    properties = [
        member for cls in CLASSES for member in vars(cls).values() if isinstance(member, property)
    ]
    assert properties
    assert all((member.__doc__ or "").strip() for member in properties)


@pytest.mark.promise(
    "one implementation of each operation, sync and async: a generator, and two loops that run it"
)
def test_every_method_has_an_async_twin_with_the_same_parameters() -> None:
    for cls, name, method in EVERY_METHOD:
        if (cls, name) in NO_TWIN:
            continue
        twin_name = name.removeprefix("a") if is_async(method) else f"a{name}"
        twin = methods(cls).get(twin_name)
        assert twin, f"{cls.__name__} has no {twin_name}"
        assert is_async(twin) != is_async(method), f"{cls.__name__}.{name}"
        assert parameters(twin) == parameters(method), f"{cls.__name__}.{name}"


def parameters(method):
    return list(inspect.signature(method).parameters.values())


def test_async_twins_have_the_same_return_type() -> None:
    for cls, name, method in EVERY_METHOD:
        twin = methods(cls).get(f"a{name}")
        if twin is None or is_async(method):
            continue
        returned, awaited = (str(m.__annotations__["return"]) for m in (method, twin))
        assert awaited.replace("AsyncIterator", "Iterator") == returned, f"{cls.__name__}.{name}"
