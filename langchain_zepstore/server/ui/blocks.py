"""The parts of a message's content, from the blocks of LangChain and the providers."""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from langchain_zepstore.models import Message

PICTURE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""The types of pictures that are shown; SVG is a program."""

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=-]+)*?(;base64)?,", re.ASCII)
_TEXTS = {"text", "input_text", "output_text", "refusal"}
_REASONING = {"reasoning", "thinking", "redacted_thinking", "reasoning_content"}
_PICTURES = {"image", "image_url", "input_image"}
_CALLS = {"tool_use", "tool_call", "function_call", "tool_call_chunk"}
_URL_LENGTH = 2000


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a message.

    Attributes:
        media_type: Its type, if the message says so.
        url: Where it is, if it is elsewhere.
        data: Its base64, or its bytes; perhaps the beginning only.
    """

    media_type: str | None = None
    url: str | None = None
    data: str | bytes | None = None

    @property
    def is_shown(self) -> bool:
        """Whether it is here, and of a type that is shown."""
        return self.data is not None and self.media_type in PICTURE_TYPES

    def content(self) -> bytes | None:
        """Return its bytes; ``None`` if there are none that are shown."""
        if not self.is_shown or not self.data:
            return None
        if isinstance(self.data, bytes):
            return self.data
        try:
            return base64.b64decode(self.data, validate=True)
        except (binascii.Error, ValueError):
            return None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a message.

    Attributes:
        type: ``text``, ``reasoning``, ``picture`` or ``other``.
        text: What it says, or its name.
        picture: The picture.
        index: Its index in the content.
    """

    type: str
    text: str = ""
    picture: Picture | None = None
    index: int = 0


def text_of(value: Any) -> str:
    """Return a value that should be a text; nothing if it is none."""
    return value if isinstance(value, str) else ""


def data_of(message: Message) -> dict[str, Any]:
    """Return the fields of a LangChain message beside its text."""
    data = (message.langchain or {}).get("data")
    return data if isinstance(data, dict) else {}


def parts_of(message: Message) -> Iterator[Part]:
    """Yield the parts of a message."""
    data = data_of(message)
    kwargs = data.get("additional_kwargs")
    if isinstance(kwargs, dict) and isinstance(thought := kwargs.get("reasoning_content"), str):
        yield Part("reasoning", thought)
    blocks = data.get("content")
    if not isinstance(blocks, list):
        if message.content:
            yield Part("text", message.content)
        return
    for index, block in enumerate(blocks):
        if part := _part(block, index):
            yield part


def _part(block: Any, index: int) -> Part | None:
    if not isinstance(block, dict):
        return Part("text", block) if isinstance(block, str) else None
    type_ = text_of(block.get("type")) or "unknown"
    if type_ in _TEXTS:
        text = block.get("text") or block.get("refusal")
        return Part("text", text) if isinstance(text, str) else None
    if type_ in _REASONING:
        return _reasoning(block, type_)
    if type_ in _PICTURES:
        return Part("picture", picture=_picture(block), index=index)
    name = next(
        (block[key] for key in ("filename", "name", "title") if isinstance(block.get(key), str)), ""
    )
    # Calls are shown as the message's tool calls.
    return None if type_ in _CALLS else Part("other", f"{type_[:100]} {name[:100]}".strip())


def _reasoning(block: dict[str, Any], type_: str) -> Part | None:
    text = next(
        (block[key] for key in (type_, "reasoning", "text") if isinstance(block.get(key), str)), ""
    )
    summary = block.get("summary")
    if not text and isinstance(summary, list):
        texts = (each.get("text") for each in summary if isinstance(each, dict))
        text = "\n\n".join(each for each in texts if isinstance(each, str))
    return Part("reasoning", text) if text else None


def _picture(block: dict[str, Any]) -> Picture:
    """Return the picture of a block of LangChain's, OpenAI's or Anthropic's."""
    source = block.get("source")
    if isinstance(source, dict):
        block = {"url": source.get("url"), "base64": source.get("data")} | {
            "mime_type": source.get("media_type")
        }
    data = block.get("base64") or block.get("data")
    if isinstance(data, str | bytes):
        type_ = text_of(block.get("mime_type")) or "image/png"
        return Picture(type_[:100].lower(), data=data)
    url: Any = block.get("url") or block.get("image_url")
    if isinstance(url, dict):
        url = url.get("url")
    if not isinstance(url, str):
        return Picture()
    if found := _DATA_URL.match(url):
        return Picture(found[1].lower(), data=url[found.end() :] if found[2] else "")
    is_link = url.lower().startswith(("http://", "https://")) and len(url) < _URL_LENGTH
    return Picture(url=url if is_link else None)
