"""Markdown as HTML that is safe to show: no HTML of its own, no pictures, links that say where."""

from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markupsafe import Markup, escape

from langchain_zepstore.server.ui.rendering import visible

_SCHEMES = ("http://", "https://", "mailto:")
_HEADINGS = {"h1": "h3", "h2": "h4", "h3": "h5"}
MAX_COST = 150_000
"""The most that it may cost to read the texts of a page."""

_MARKS = "[]*_`~|&<>\\!"
_MARK_COST, _LINE_COST = 15, 50
_MAX_GROWTH = 8  # times the length of the text; nested lists and quotes may grow to more


class _Renderer(RendererHTML):
    """Keeps headings below the page's own, and styles in the stylesheet."""

    def renderToken(  # noqa: N802 - markdown-it's name
        self, tokens: Sequence[Token], idx: int, options: Any, env: Any
    ) -> str:
        """Return the HTML of a token."""
        token = tokens[idx]
        if token.type.startswith("heading"):
            token.tag = _HEADINGS.get(token.tag, "h6")
        elif "style" in token.attrs:  # of a cell that is aligned
            token.attrs["class"] = str(token.attrs.pop("style")).replace("text-align:", "align-")
        elif token.type == "link_open":
            token.attrs |= {"rel": "noopener noreferrer nofollow", "target": "_blank"}
        elif token.type == "table_open":
            token.attrs["tabindex"] = "0"
        return super().renderToken(tokens, idx, options, env)

    def fence(self, *token: Any) -> str:
        """Return the HTML of code, which the keyboard can scroll."""
        return super().fence(*token).replace("<pre>", '<pre tabindex="0">', 1)

    def code_block(self, *token: Any) -> str:
        """Return the HTML of indented code."""
        return super().code_block(*token).replace("<pre>", '<pre tabindex="0">', 1)


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer)
    parser.enable(["table", "strikethrough"]).disable(["image", "html_block", "html_inline"])
    parser.validateLink = lambda url: url.lower().startswith(_SCHEMES)  # type: ignore[method-assign]
    return parser


_PARSER = _parser()


def cost(text: str) -> int:
    """Return roughly how many microseconds it takes to read a text."""
    marks = sum(text.count(mark) for mark in _MARKS)
    return len(text) + _LINE_COST * text.count("\n") + _MARK_COST * marks


def markdown(text: str) -> Markup:
    """Return a text as HTML; one that would take too long as it is."""
    text = visible(text)
    if cost(text) > MAX_COST:
        return plain(text)
    html = str(_PARSER.render(text))
    if len(html) > _MAX_GROWTH * len(text) + 200:
        return plain(text)
    return Markup(html)  # noqa: S704 - the parser escapes what is no Markdown


def plain(text: str) -> Markup:
    """Return a text as HTML that shows it as it is."""
    return Markup('<pre class="plain">{}</pre>').format(escape(visible(text)))
