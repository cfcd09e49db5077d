"""Messages whose texts are at hand, to be ranked."""

from __future__ import annotations

from collections import defaultdict
from itertools import count

import numpy as np

from langchain_zepstore.messages.langchain import text_of
from langchain_zepstore.mongo.documents import MessageDocument
from langchain_zepstore.mongo.search.ranking import (
    MAX_RANKED,
    Asked,
    Beginning,
    Figures,
    Integers,
    MessageKey,
    count_terms,
    does_ask,
)
from langchain_zepstore.mongo.search.tokens import folded

_COMMON_ROLES = frozenset({"ai", "assistant", "function", "human", "system", "tool", "user"})


class Texts:
    """Texts in rows; see ``ranking.Messages``.

    Attributes:
        rows: The row of each message.
        session_ids: The ids of the sessions.

    Args:
        asked: The words that are looked for.
    """

    def __init__(self, asked: Asked) -> None:
        self.rows: dict[MessageKey, int] = {}
        self.session_ids: list[str] = []
        self._asked = asked
        self._sessions: defaultdict[str, int] = defaultdict(count().__next__)
        self._speakers: defaultdict[str, int] = defaultdict(count().__next__)
        self._texts: list[str] = []
        self._figures: list[tuple[int, int, int, bool, int]] = []
        self._counts: list[list[int]] = []

    @property
    def incarnations(self) -> list[str]:
        """The incarnations of the sessions."""
        return [*self._sessions]

    @property
    def speakers(self) -> list[str]:
        """The names of the speakers; empty where the role is none."""
        return [*self._speakers]

    def add(self, key: MessageKey, text: str, speaker: str = "", session_id: str = "") -> int:
        """Add a message that is not here yet; return its row."""
        if key in self.rows:
            return self.rows[key]
        incarnation, number = key
        session = self._sessions[incarnation]
        if session == len(self.session_ids):
            self.session_ids.append(session_id)
        counts, length = count_terms(text, self._asked)
        self._texts.append(text[:MAX_RANKED])
        self._figures.append((session, number, self._speakers[speaker], does_ask(text), length))
        self._counts.append(counts)
        self.rows[key] = row = len(self.rows)
        return row

    def add_document(self, document: MessageDocument) -> int:
        """Add what of a message's document is ranked; return its row."""
        key = document["_id"]["s"], document["_id"]["q"]
        text = text_of(document.get("content", ""))
        return self.add(key, text, speaker_of(document), document.get("session_id", ""))

    def figures(self, rows: Integers) -> Figures:
        """Return what messages are ranked by."""
        chosen = [self._figures[row] for row in rows.tolist()]
        sessions, numbers, speakers, asks, lengths = (
            np.array(chosen, dtype=np.int64).reshape(-1, 5).T
        )
        counts = np.array([self._counts[row] for row in rows.tolist()], dtype=np.int64)
        counts = counts.reshape(len(rows), len(self._asked.terms))
        return Figures(sessions, numbers, speakers, asks > 0, counts, lengths)

    def count_beginnings(self, rows: Integers, beginning: Beginning) -> Integers:
        """Return how many words of messages begin so."""
        letters, pattern = beginning
        texts = (folded(self._texts[row]) for row in rows.tolist())
        return np.array(
            [len(pattern.findall(text)) if letters in text else 0 for text in texts], dtype=np.int64
        )


def text_with_speaker(document: MessageDocument) -> str:
    """Return a message's text, after the speaker's name if the role is one."""
    speaker, text = speaker_of(document), text_of(document["content"])
    return f"{speaker}: {text}" if speaker and text.strip() else text


def speaker_of(document: MessageDocument) -> str:
    """Return the speaker's name; empty if the role is none."""
    role: str = document.get("role", "")
    return "" if role.lower() in _COMMON_ROLES else role
