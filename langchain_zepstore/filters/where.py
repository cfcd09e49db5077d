"""Zep's metadata filters: ``jsonpath``, ``and`` and ``or``, read into a tree."""

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
_SHOWN = 30


def parsed(where: Any, place: str) -> Condition:
    """Return the condition that a filter says.

    Args:
        where: What stands under ``where``: a dict with one of ``jsonpath``, ``and`` and ``or``.
        place: Its place, for the error.

    Raises:
        BadRequestError: It is none of these, too large, or a jsonpath is not understood.
    """
    return _Reader().condition(where, place, MAX_NESTING)


class _Reader:
    def __init__(self) -> None:
        self._left = MAX_CONDITIONS

    def condition(self, where: Any, place: str, levels: int) -> Condition:
        if not isinstance(where, dict):
            raise BadRequestError(f"{place} must be a dict, not {type(where).__name__}")
        if len(where) != 1:
            raise BadRequestError(f"{place} {_NEEDED}; not {len(where)} keys")
        [(name, value)] = where.items()
        if name not in _NAMES:
            shown = repr(name[:_SHOWN]) if isinstance(name, str) else type(name).__name__
            raise BadRequestError(f"{place} {_NEEDED}; not {shown}")
        place = f"{place}.{name}"
        if name == "jsonpath":
            return parsed_path(value, place, levels, self._count)
        if not isinstance(value, list) or not value:
            raise BadRequestError(f"{place} must be a non-empty list")
        if not levels:
            raise BadRequestError(f"{place}: nested deeper than {MAX_NESTING} levels")
        parts = tuple(
            self.condition(part, f"{place}[{index}]", levels - 1)
            for index, part in enumerate(value)
        )
        return And(parts) if name == "and" else Or(parts)

    def _count(self) -> bool:
        self._left -= 1
        return self._left >= 0
