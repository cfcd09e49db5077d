"""A parser of PostgreSQL's jsonpath, as far as Zep's documentation shows it.

Paths have keys and ``[*]``, and filters that compare the values at such paths with literals.
Everything else is refused, so that no filter means something else than in Zep.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeAlias, TypeVar

from langchain_zepstore.errors import BadRequestError

MAX_JSONPATH = 10_000
MAX_NESTING = 16  # of "and", "or" and parentheses, together
MAX_STEPS = 24  # from the root to a value; MongoDB takes expressions of 200 levels
MAX_CONDITIONS = 100

Scalar: TypeAlias = str | int | float | bool | None
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Key:
    """The step ``.name``: the value of a key of a map."""

    name: str


@dataclass(frozen=True, slots=True)
class Each:
    """The step ``[*]``: the items of a list."""


@dataclass(frozen=True, slots=True)
class And(Generic[T]):
    """All parts are true."""

    parts: tuple[T, ...]


@dataclass(frozen=True, slots=True)
class Or(Generic[T]):
    """One of the parts is true."""

    parts: tuple[T, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The test is false, and not only unknown."""

    test: "Test"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A value at a path compares with a literal; ``!=`` stands for ``<>`` too."""

    path: tuple[Key | Each, ...]
    operator: str
    value: Scalar


Test: TypeAlias = "Comparison | Not | And[Test] | Or[Test]"


@dataclass(frozen=True, slots=True)
class Filter:
    """The step ``? (test)``: the values for which the test is true."""

    test: Test


Step: TypeAlias = Key | Each | Filter


@dataclass(frozen=True, slots=True)
class Path:
    """A ``jsonpath``: it is true for metadata in which it leads to a value."""

    steps: tuple[Step, ...]


_BLANK = r" \t\n\r\f"
_OTHER = rf'[^?%$.\[\]{{}}()|&!=<>@#,*:+/\\"\-{_BLANK}]'  # PostgreSQL's, for keys without quotes
_TOKEN = re.compile(
    rf"""(?P<blank>[{_BLANK}]+)
    |(?P<string>"[^"\\]*(?:\\.[^"\\]*)*")
    |(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)
    |(?P<name>(?![0-9]){_OTHER}+)
    |(?P<each>\[[{_BLANK}]*\*[{_BLANK}]*\])
    |(?P<sign>&&|\|\||[=!<>]=|<>|[$@.?()!<>])""",
    re.VERBOSE | re.DOTALL,
)
_NO_TEXT = re.compile(r"[\0\ud800-\udfff]")
_MIRRORED = {"==": "==", "!=": "!=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NAMED: dict[str, Scalar] = {"true": True, "false": False, "null": None}
_MAX_INT_CHARACTERS = 20
_MAX_SHOWN = 30  # characters


def parsed_path(text: Any, path: str, levels: int, count: Callable[[], bool]) -> Path:
    """Return the tree of a jsonpath.

    Args:
        text: The jsonpath.
        path: Its path in the arguments, for the error.
        levels: How deeply its parentheses may nest.
        count: Called for each condition; returns whether it is one of those allowed.

    Raises:
        BadRequestError: It is not understood, or too large.
    """
    if not isinstance(text, str):
        raise BadRequestError(f"{path} must be a str, not {type(text).__name__}")
    if len(text) > MAX_JSONPATH:
        raise BadRequestError(f"{path} is longer than {MAX_JSONPATH} characters")
    plain = str.__str__(text)
    if bad := _NO_TEXT.search(plain):
        found = "a NUL character" if bad.group() == "\0" else "a lone surrogate"
        raise BadRequestError(f"{path}, character {bad.start() + 1}: text cannot hold {found}")
    return _Parser(plain, path, levels, count).path()


class _Parser:
    def __init__(self, text: str, path: str, levels: int, count: Callable[[], bool]) -> None:
        self._text = text
        self._path = path
        self._levels = levels
        self._count = count
        self._at = 0
        self._type = ""  # of the token ahead; none at the end
        self._lexeme = ""
        self._advance()

    def path(self) -> Path:
        self._expect("$", "$")
        steps = self._steps(MAX_STEPS, filters=True)
        if self._type:
            self._refuse("a step or the end")
        if not any(isinstance(step, Filter) for step in steps):
            self._condition()
        return Path(steps)

    def _steps(self, most: int, *, filters: bool) -> tuple[Any, ...]:
        steps: list[Step] = []
        while self._lexeme in {".", "?"} or self._type == "each":
            if len(steps) >= most:
                self._fail(f"more than {MAX_STEPS} steps")
            if self._type == "each":
                self._advance()
                steps.append(Each())
            elif self._accept("."):
                steps.append(self._key())
            elif filters:
                self._advance()
                self._expect("(", "(")
                steps.append(Filter(self._inside(most - len(steps) - 1)))
            else:
                break
        return tuple(steps)

    def _key(self) -> Key:
        name = self._lexeme
        if self._type == "string":
            name = self._unquoted()
        elif self._type != "name":
            self._refuse("a key")
        self._advance()
        if self._lexeme == "(":
            self._fail("methods are not understood")
        return Key(name)

    def _inside(self, most: int) -> Test:
        if not self._levels:
            self._fail(f"nested deeper than {MAX_NESTING} levels")
        self._levels -= 1
        test = self._either(most)
        self._levels += 1
        self._expect(")", ") or an operator")
        return test

    def _either(self, most: int) -> Test:
        tests = [self._both(most)]
        while self._accept("||"):
            tests.append(self._both(most))
        return Or(tuple(tests)) if len(tests) > 1 else tests[0]

    def _both(self, most: int) -> Test:
        tests = [self._one(most)]
        while self._accept("&&"):
            tests.append(self._one(most))
        return And(tuple(tests)) if len(tests) > 1 else tests[0]

    def _one(self, most: int) -> Test:
        if self._accept("!"):
            self._expect("(", "(")
            return Not(self._inside(most))
        return self._inside(most) if self._accept("(") else self._comparison(most)

    def _comparison(self, most: int) -> Comparison:
        self._condition()
        if self._accept("@"):
            steps = self._steps(most, filters=False)
            operator = self._operator()
            value = self._scalar("a literal")
        else:
            value = self._scalar("@ or a literal")
            operator = _MIRRORED[self._operator()]
            self._expect("@", "@")
            steps = self._steps(most, filters=False)
        return Comparison(steps, "!=" if operator == "<>" else operator, value)

    def _condition(self) -> None:
        if not self._count():
            self._fail(f"more than {MAX_CONDITIONS} conditions")

    def _operator(self) -> str:
        operator = self._lexeme
        if operator not in _MIRRORED:
            self._refuse("one of " + " ".join(_MIRRORED))
        self._advance()
        return operator

    def _scalar(self, expected: str) -> Scalar:
        value: Scalar
        if self._type == "string":
            value = self._unquoted()
        elif self._type == "number":
            value = self._number()
        elif self._lexeme in _NAMED:
            value = _NAMED[self._lexeme]
        else:
            self._refuse(expected)
        self._advance()
        return value

    def _number(self) -> int | float:
        is_float = not self._lexeme.lstrip("-").isdigit()
        if len(self._lexeme) > _MAX_INT_CHARACTERS and not is_float:
            self._fail("an int beyond 64 bits")
        value = float(self._lexeme) if is_float else int(self._lexeme)
        if is_float and not math.isfinite(value):
            self._fail("a number beyond 64 bits")
        if not is_float and not -(2**63) <= value < 2**63:
            self._fail("an int beyond 64 bits")
        return value

    def _unquoted(self) -> str:
        try:
            value: str = json.loads(self._lexeme, strict=False)
        except ValueError:
            self._fail("a string with an escape that JSON does not know")
        if _NO_TEXT.search(value):
            self._fail("text cannot hold a NUL character or a lone surrogate")
        return value

    def _accept(self, token: str) -> bool:
        if self._lexeme != token:
            return False
        self._advance()
        return True

    def _expect(self, token: str, expected: str) -> None:
        if not self._accept(token):
            self._refuse(expected)

    def _advance(self) -> None:
        self._at += len(self._lexeme)
        match = _TOKEN.match(self._text, self._at)
        if match and match.lastgroup == "blank":
            self._at = match.end()
            match = _TOKEN.match(self._text, self._at)
        if match is None and self._at < len(self._text):
            self._refuse("a sign, a name, a number or a closed string")
        self._type = match.lastgroup or "" if match else ""
        self._lexeme = match.group() if match else ""

    def _refuse(self, expected: str) -> NoReturn:
        found = self._text[self._at :]
        shown = repr(found[:_MAX_SHOWN]) if found else "the end"
        self._fail(f"expected {expected}, not {shown}")

    def _fail(self, reason: str) -> NoReturn:
        raise BadRequestError(f"{self._path}, character {self._at + 1}: {reason}")
