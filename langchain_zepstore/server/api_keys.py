"""API keys, kept as hashes."""

import hashlib
import hmac
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from langchain_zepstore.core.validation import checked_id
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.wire import from_json

KEYS_VARIABLE = "ZEPSTORE_API_KEYS"

_HASHED = "sha256:"


class ApiKey:
    """An API key and its permissions. Only the SHA-256 of the key is kept.

    Args:
        key: The key, or ``sha256:`` and the 64 hexadecimal digits of its hash.
        user_id: The only user whose sessions it may access; without one, all users'.
        read_only: Whether it may only read and search.
        name: Its name in the access log.

    Attributes:
        digest: The SHA-256 of the key.
        user_id: The only user whose sessions it may access.
        read_only: Whether it may only read and search.
        name: Its name in the access log; by default the first digits of the digest.

    Raises:
        BadRequestError: The key is empty, not printable ASCII, or not a SHA-256.
    """

    def __init__(
        self,
        key: str,
        *,
        user_id: str | None = None,
        read_only: bool = False,
        name: str | None = None,
    ) -> None:
        is_text = isinstance(key, str) and key.isascii() and key.isprintable()
        if not is_text or not key or key.strip() != key:
            raise BadRequestError("an API key must be a non-empty str of printable ASCII")
        self.digest = _digest(key)
        self.user_id = None if user_id is None else checked_id(user_id, "user_id of an API key")
        self.read_only = read_only
        self.name = name or self.digest.hex()[:8]

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, user_id={self.user_id!r})"


def _digest(key: str) -> bytes:
    if not key.startswith(_HASHED):
        return hashlib.sha256(key.encode()).digest()
    digits = key.removeprefix(_HASHED)
    if not re.fullmatch("[0-9a-fA-F]{64}", digits):
        raise BadRequestError(f"{_HASHED} must stand before 64 hexadecimal digits")
    return bytes.fromhex(digits)


class Keys:
    """The keys that a server accepts.

    Args:
        keys: The keys; without any, no key is asked for.
    """

    def __init__(self, keys: Iterable[str | ApiKey]) -> None:
        if isinstance(keys, str | bytes):
            raise BadRequestError("api_keys must be a list of keys, not one text")
        self._keys = [key if isinstance(key, ApiKey) else ApiKey(key) for key in keys]

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[ApiKey]:
        return iter(self._keys)

    def find(self, key: str) -> ApiKey | None:
        """Return the entry of a key; ``None`` if it is unknown. Takes the same time for any key."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        found = None
        for each in self._keys:
            if hmac.compare_digest(each.digest, digest):
                found = each
        return found


def from_environment() -> list[str | ApiKey]:
    """Return the keys in ``$ZEPSTORE_API_KEYS``, separated by commas."""
    return [key for part in os.environ.get(KEYS_VARIABLE, "").split(",") if (key := part.strip())]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: str
    user_id: str | None = None
    read_only: bool = False
    name: str | None = None


def from_file(path: Path) -> list[str | ApiKey]:
    """Return the keys in a JSON file: a list of objects with the arguments of ``ApiKey``.

    Raises:
        BadRequestError: The file cannot be read or holds something else.
    """
    try:
        entries = TypeAdapter(list[_Entry]).validate_python(from_json(path.read_bytes()))
    except OSError as error:
        raise BadRequestError(f"cannot read the API keys in {path}: {error.strerror}") from error
    except ValidationError as error:
        # The input is left out: it holds keys.
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_input=False, include_url=False)
        )
        raise BadRequestError(f"the API keys in {path} cannot be read: {wrong}") from None
    except ValueError:
        raise BadRequestError(f"the API keys in {path} are no JSON") from None
    if not entries:
        raise BadRequestError(f"there are no API keys in {path}; it would let everybody in")
    return [ApiKey(**dict(entry)) for entry in entries]
