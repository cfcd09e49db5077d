"""Imports point down. Each room names those that it may know; what is not named is refused."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import langchain_zepstore

PACKAGE = Path(langchain_zepstore.__file__).parent
GROUND = "core errors models messages/storable"

# From the bottom up: a room may import what is named behind it, and itself.
ROOMS = {
    "errors": "",
    "models": "",
    "filters": "errors",
    "messages/storable": "errors",  # what a store may hold; arguments check themselves by it
    "core": "errors filters models messages/storable",
    "messages": GROUND,
    "embedded": "errors",
    "managers": f"{GROUND} filters messages",
    "mongo": f"{GROUND} filters messages embedded",
    "http": f"{GROUND} filters messages",
    "admin": "mongo",
    "store_client": f"{GROUND} messages managers embedded mongo http",
    "history": f"{GROUND} messages store_client",
    "retriever": f"{GROUND} messages filters store_client",
    "client": f"{GROUND} messages store_client history retriever",
    "middleware": f"{GROUND} messages managers store_client",
    "adapters": f"{GROUND} messages store_client history",
    "migration": f"{GROUND} messages store_client adapters",
    "server": f"{GROUND} filters messages store_client",
    "cli": f"{GROUND} messages migration client embedded server",
    "__main__": "cli",
    "__init__": "errors models client history retriever",
}

# Who may import a driver, a format or a protocol: rooms, or files of a room.
OUTSIDE = {
    "motor": ["mongo/driver/clients"],
    "pymongo": [
        "mongo/driver/clients",
        "mongo/driver/collection",
        "mongo/driver/database",
        "mongo/driver/retry",
        "mongo/driver/errors",
        "mongo/driver/index_maker",
        "mongo/indexes",
        "mongo/backend",
        "migration/readers/mongodb",
    ],
    "bson": ["mongo", "migration/readers/mongodb"],
    "httpx": ["http"],
    "langchain": ["middleware"],
    "langgraph": ["middleware"],
    "agent_framework": ["adapters/agent_framework"],
    "agents": ["adapters/openai_agents"],
    "llama_index": ["adapters"],
    "pydantic_ai": ["adapters/pydantic_ai"],
    "fastapi": ["server"],
    "prometheus_client": ["server"],
    "starlette": ["server"],
    "typer": ["cli"],
    "rich": ["cli"],
    "uvicorn": ["server"],
    "itsdangerous": ["server"],
    "jinja2": ["server"],
    "markdown_it": ["server"],
    "opentelemetry": ["core/telemetry"],
}
CLIENTS = {"MongoClient", "AsyncMongoClient", "AsyncIOMotorClient"}


FILES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix(): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


@cache
def imports(file: str) -> frozenset[str]:
    """Return the dotted names of all that a file imports, also inside functions."""
    path = FILES[file]
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def room(file: str) -> str:
    """Return the folder of a file, or the file where it has a line of its own in the table."""
    return next((name for name in ROOMS if file == name), file.partition("/")[0])


def rooms_known_to(file: str) -> set[str]:
    known = {
        "/".join(name.split(".")[1:3])
        for name in imports(file)
        if name.startswith("langchain_zepstore.")
    }
    return {room(name) for name in known} - {room(file)}


def found(names: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the files with names."""
    return {file: each for file, each in names.items() if each}


def test_every_file_is_in_a_layer_of_the_table() -> None:
    assert {room(file) for file in FILES} <= set(ROOMS)


@pytest.mark.promise("layers, and importing that loads no driver and no server")
def test_imports_point_down() -> None:
    upward = {file: rooms_known_to(file) - set(ROOMS[room(file)].split()) for file in FILES}
    assert found(upward) == {}


def test_the_table_has_no_cycles() -> None:
    below: set[str] = set()
    for name, known in ROOMS.items():
        assert set(known.split()) <= below, name
        below.add(name)


def test_drivers_and_protocols_are_imported_only_in_their_layers() -> None:
    known = {
        file: {name.partition(".")[0] for name in imports(file)} & set(OUTSIDE) for file in FILES
    }
    misplaced = {
        file: {name for name in names if not {room(file), file} & set(OUTSIDE[name])}
        for file, names in known.items()
    }
    assert found(misplaced) == {}


def test_only_the_clients_module_creates_database_clients() -> None:
    made = {file: {name.rpartition(".")[2] for name in imports(file)} & CLIENTS for file in FILES}
    allowed = {"mongo/driver/clients": CLIENTS, "migration/readers/mongodb": {"MongoClient"}}
    assert found(made) == allowed


@pytest.mark.promise("layers, and importing that loads no driver and no server")
def test_operations_use_collections_only() -> None:
    clients = "langchain_zepstore.mongo.driver.clients"
    known = {
        file: {name for name in imports(file) if name.startswith(clients)}
        for file in FILES
        if room(file) == "mongo" and file not in {"mongo/driver/clients", "mongo/backend"}
    }
    assert known
    assert found(known) == {}


@pytest.mark.promise("layers, and importing that loads no driver and no server")
def test_importing_the_package_imports_no_driver_or_server() -> None:
    heavy = ["motor", "pymongo", "bson", "starlette", "fastapi", "uvicorn", "numpy", "rich"]
    code = f"import sys, langchain_zepstore; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
