"""API keys: who may ask, kept as hashes."""

import hashlib
import hmac
import os
import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from langchain_zepstore.core.validation import checked_id
from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.messages.wire import from_json

KEYS_VARIABLE = "ZEPSTORE_API_KEYS"

_HASHED = "sha256:"


class ApiKey:
    """A key, and what it opens. The key itself is not kept, only its SHA-256.

    Args:
        key: The key; ``sha256:`` and 64 hexadecimal digits stand for one that only its owner knows.
        user_id: Whose sessions it sees; without one, everybody's.
        read_only: Whether it may only read and search.
        name: What the access log calls it.

    Attributes:
        digest: The SHA-256 of the key.
        user_id: Whose sessions it sees.
        read_only: Whether it may only read and search.
        name: What the access log calls it; the first digits of the digest if not given.

    Raises:
        BadRequestError: It is empty, or no text that a header can carry, or no SHA-256.
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
    """The keys that a server knows.

    Args:
        keys: Keys; none at all lets everybody in.
    """

    def __init__(self, keys: Iterable[str | ApiKey]) -> None:
        if isinstance(keys, str | bytes):
            raise BadRequestError("api_keys must be a list of keys, not one text")
        self._keys = [key if isinstance(key, ApiKey) else ApiKey(key) for key in keys]

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, key: str) -> ApiKey | None:
        """Return what a key opens; ``None`` if it is unknown. Takes as long for any key."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        found = None
        for each in self._keys:
            if hmac.compare_digest(each.digest, digest):
                found = each
        return found


def from_environment() -> list[str | ApiKey]:
    """Return the keys in ``$ZEPSTORE_API_KEYS``, which separates them by commas."""
    return [key for part in os.environ.get(KEYS_VARIABLE, "").split(",") if (key := part.strip())]


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: str
    user_id: str | None = None
    read_only: bool = False
    name: str | None = None


def from_file(path: Path) -> list[str | ApiKey]:
    """Return the keys in a file of JSON.

    It holds a list of objects with the arguments of ``ApiKey``.

    Raises:
        BadRequestError: There is no such file, or it holds something else.
    """
    try:
        entries = TypeAdapter(list[_Entry]).validate_python(from_json(path.read_bytes()))
    except OSError as error:
        raise BadRequestError(f"cannot read the API keys in {path}: {error.strerror}") from error
    except ValidationError as error:
        # Without the input: it holds keys.
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
