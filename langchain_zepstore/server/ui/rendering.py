"""Templates, and their filters: texts, times, sizes and links."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from langchain_zepstore.core.version import package_version

HERE = Path(__file__).parent

# Controls that turn the reading direction around also turn what stands after them.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_KILO = 1024


def visible(text: object) -> str:
    """Return a text whose control characters can be seen."""
    return _CONTROLS.sub(_picture, str(text))


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < ord(" "):
        return "" if found[0] == "\r" else chr(0x2400 + code)
    return "\u2421" if code == 0x7F else f"[U+{code:04X}]"  # noqa: PLR2004 - DEL


def isolated(text: object) -> Markup:
    """Return a text as HTML that leaves the direction of what stands beside it alone."""
    return Markup("<bdi>{}</bdi>").format(visible(text))


def shown_time(moment: datetime | None) -> Markup:
    """Return a time as HTML: in UTC, until a script shows it in the reader's zone."""
    if moment is None:
        return Markup("")
    moment = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        moment.isoformat(timespec="seconds").replace("+00:00", "Z"),
        f"{moment:%d %b %Y, %H:%M} UTC",
    )


def shown_number(value: float) -> str:
    """Return a number with its thousands apart."""
    return f"{value:,}"


def shown_bytes(size: float) -> str:
    """Return a number of bytes in the nearest unit."""
    for unit in ("bytes", "kB", "MB"):
        if size < _KILO:
            return f"{size:,.0f} {unit}" if size >= 10 or unit == "bytes" else f"{size:.1f} {unit}"  # noqa: PLR2004
        size /= _KILO
    return f"{size:,.1f} GB"


def segment(text: str) -> str:
    """Return a text as a segment of a path."""
    return quote(text, safe="")


def path_of(*segments: str) -> str:
    """Return a path below the page's own."""
    return "".join(f"/{segment(each)}" for each in segments)


def query_of(**parameters: Any) -> str:
    """Return a query string of the parameters that have a value."""
    given = {name: value for name, value in parameters.items() if value not in (None, "", [])}
    return "?" + urlencode(given, doseq=True) if given else ""


TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
    auto_reload=False,
)
TEMPLATES.filters.update(
    visible=visible,
    bdi=isolated,
    time=shown_time,
    number=shown_number,
    bytes=shown_bytes,
    segment=segment,
)
TEMPLATES.globals.update(query_of=query_of, version=package_version())
