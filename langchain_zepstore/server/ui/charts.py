"""Charts as SVG and as tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from markupsafe import Markup

from langchain_zepstore.server.ui.rendering import shown_bytes

_DAYS = 30
_HEIGHT = 100
_STEP = 10  # from one bar to the next
_BAR = 8
_LARGEST = 1 << 20


@dataclass(frozen=True)
class Row:
    """A row of a table with bars.

    Attributes:
        label: Its name.
        number: Its number.
        url: What it leads to.
    """

    label: str
    number: int
    url: str = ""


@dataclass(frozen=True)
class DayChart:
    """Numbers per day.

    Attributes:
        svg: The bars.
        rows: The days that have a number, the last first.
        first: The first day.
        last: The last day.
        most: The largest number.
        earlier: The sum of the days before.
    """

    svg: Markup
    rows: list[Row]
    first: date
    last: date
    most: int
    earlier: int


def day_chart(numbers: Mapping[str, int]) -> DayChart | None:
    """Return the last 30 days up to the last one that has a number."""
    if not numbers:
        return None
    last = date.fromisoformat(max(numbers))
    first = last - timedelta(days=_DAYS - 1)
    days = [first + timedelta(days=number) for number in range(_DAYS)]
    shown = [(day, numbers.get(day.isoformat(), 0)) for day in days]
    most = max(number for _, number in shown)
    bars = Markup("").join(
        Markup(
            '<rect x="{}" y="{:.1f}" width="{}" height="{:.1f}"><title>{}: {:,}</title></rect>'
        ).format(index * _STEP + 1, _HEIGHT - height, _BAR, height, f"{day:%d %b %Y}", number)
        for index, (day, number) in enumerate(shown)
        if (height := _HEIGHT * number / most)
    )
    return DayChart(
        svg=bars,
        rows=[Row(f"{day:%d %b %Y}", number) for day, number in reversed(shown) if number],
        first=first,
        last=last,
        most=most,
        earlier=sum(numbers.values()) - sum(number for _, number in shown),
    )


def rows_of(numbers: Mapping[str, int], limit: int) -> list[Row]:
    """Return the first numbers as rows."""
    return [Row(label, number) for label, number in list(numbers.items())[:limit]]


def size_label(size: int) -> str:
    """Return the name of a class of sizes: up to so many bytes."""
    if size > _LARGEST:
        return f"over {size_label(_LARGEST).removeprefix('up to ')}"
    return f"up to {shown_bytes(size).replace('.0 ', ' ')}"
