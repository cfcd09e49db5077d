"""A parser of Zep's metadata filters: ``jsonpath``, ``and`` and ``or``."""

from typing import Any, TypeAlias

from langchain_zepstore.errors import BadRequestError
from langchain_zepstore.filters.jsonpath import (
    MAX_CONDITIONS,
    MAX_NESTING,
    And,
    Or,
    Path,
    parsed_path,
)

Condition: TypeAlias = "Path | And[Condition] | Or[Condition]"

_NAMES = ("jsonpath", "and", "or")
_NEEDED = f"must hold one of {', '.join(_NAMES)}"
_MAX_SHOWN = 30  # characters


def parsed(where: Any, path: str) -> Condition:
    """Return the condition of a filter.

    Args:
        where: The value of ``where``: a dict with one of ``jsonpath``, ``and`` and ``or``.
        path: Its path in the arguments, for the error.

    Raises:
        BadRequestError: It is none of these, too large, or a jsonpath is not understood.
    """
    return _Reader().condition(where, path, MAX_NESTING)


class _Reader:
    def __init__(self) -> None:
        self._left = MAX_CONDITIONS

    def condition(self, where: Any, path: str, levels: int) -> Condition:
        if not isinstance(where, dict):
            raise BadRequestError(f"{path} must be a dict, not {type(where).__name__}")
        if len(where) != 1:
            raise BadRequestError(f"{path} {_NEEDED}; not {len(where)} keys")
        [(name, value)] = where.items()
        if name not in _NAMES:
            shown = repr(name[:_MAX_SHOWN]) if isinstance(name, str) else type(name).__name__
            raise BadRequestError(f"{path} {_NEEDED}; not {shown}")
        path = f"{path}.{name}"
        if name == "jsonpath":
            return parsed_path(value, path, levels, self._count)
        if not isinstance(value, list) or not value:
            raise BadRequestError(f"{path} must be a non-empty list")
        if not levels:
            raise BadRequestError(f"{path}: nested deeper than {MAX_NESTING} levels")
        parts = tuple(
            self.condition(part, f"{path}[{index}]", levels - 1) for index, part in enumerate(value)
        )
        return And(parts) if name == "and" else Or(parts)

    def _count(self) -> bool:
        self._left -= 1
        return self._left >= 0
