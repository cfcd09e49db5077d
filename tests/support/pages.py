"""The page as a browser without JavaScript sees it."""

import re
from html.parser import HTMLParser
from typing import Any

import httpx

_VOID = {"br", "hr", "img", "input", "link", "meta", "col"}


class Element:
    """An element of a page: its name, attributes, and what is inside."""

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.inside: list[Element | str] = []

    def all(self, name: str = "", /, **attributes: str) -> "list[Element]":
        """Return the elements inside with a name and attributes."""
        found = []
        for each in self.inside:
            if isinstance(each, Element):
                is_wanted = name in ("", each.name) and all(
                    each.attributes.get(key.strip("_").replace("_", "-")) == value
                    for key, value in attributes.items()
                )
                found += [each] * is_wanted + each.all(name, **attributes)
        return found

    @property
    def text(self) -> str:
        """Return the text, without what surrounds it."""
        parts = (each if isinstance(each, str) else each.text for each in self.inside)
        return re.sub(r"\s+", " ", "".join(parts)).strip()


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open[-1].name == tag, f"</{tag}> closes <{self.open[-1].name}>"
            self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


class Shown(Element):
    """A page that was shown; its elements nest as they should."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__("", {})
        self.status = answer.status_code
        self.url = answer.url
        self.headers = answer.headers
        self.source = answer.text
        parser = _Parser()
        parser.feed(answer.text)
        parser.close()
        assert parser.open == [parser.root]
        self.inside = parser.root.inside
        self.cookies = answer.cookies

    @property
    def token(self) -> str:
        """Return the token of the page's forms."""
        return self.all("input", name="token")[0].attributes["value"]

    def button(self, label: str) -> bool:
        """Return whether there is a button with a name."""
        return any(_label(each) == label for each in self.all("button"))

    def form(self, label: str) -> Element:
        """Return the first form with a button of that name."""
        return next(
            form
            for form in self.all("form")
            if label in [_label(button) for button in form.all("button")]
        )


def _label(button: Element) -> str:
    return button.attributes.get("aria-label") or button.text


class Browser:
    """Opens pages and presses buttons, as a browser without JavaScript does."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def open(self, path: str, **options: Any) -> Shown:
        """Open a page."""
        return Shown(await self.http.get(path, follow_redirects=True, **options))

    async def press(self, page: Shown, label: str, **fields: Any) -> Shown:
        """Press the first button of that name, its form's fields filled in."""
        form = page.form(label)
        sent: dict[str, Any] = {
            each.attributes["name"]: each.attributes.get("value", "")
            for each in form.all("input")
            if "name" in each.attributes
        }
        button = next(each for each in form.all("button") if _label(each) == label)
        if name := button.attributes.get("name"):
            sent[name] = button.attributes.get("value", "")
        sent |= fields
        where = form.attributes.get("action", str(page.url))
        if form.attributes.get("method", "get") == "get":
            return Shown(await self.http.get(where, params=sent, follow_redirects=True))
        return Shown(await self.http.post(where, data=sent, follow_redirects=True))


def browser_of(app: Any, base_url: str = "http://localhost", **options: Any) -> Browser:
    """Return a browser that shows an application's page."""
    transport = httpx.ASGITransport(app=app)
    return Browser(httpx.AsyncClient(transport=transport, base_url=base_url, **options))
