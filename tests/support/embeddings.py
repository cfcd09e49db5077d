"""Embeddings that know a few words, and count what they are asked."""

import hashlib
import re
from collections.abc import Callable

from langchain_core.embeddings import Embeddings

SUBJECTS = [
    {"boat", "ship", "vessel", "sail"},
    {"lake", "pond", "water"},
    {"soup", "stew", "beans", "meal"},
    {"winter", "snow", "ice", "frozen"},
]


class Subjects(Embeddings):
    """Texts about one subject point in one direction, whatever their words.

    Args:
        model: Its name.
        dimension: The length of the vectors; more than there are subjects leaves room for words
            that it does not know.
        before: Called with the texts of each batch before it is embedded.
    """

    def __init__(
        self,
        model: str = "subjects",
        dimension: int = 16,
        before: Callable[[list[str]], object] | None = None,
    ) -> None:
        self.before = before or (lambda _: None)
        self.model = model
        self.dimension = dimension
        self.documents: list[str] = []
        self.batches: list[int] = []
        self.queries: list[str] = []

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.before(texts)
        self.documents += texts
        self.batches.append(len(texts))
        return [self._vector(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        self.queries.append(text)
        return self._vector(text)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        return self.embed_query(text)

    def _vector(self, text: str) -> list[float]:
        vector = [0.0] * self.dimension
        for word in re.findall(r"\w+", text.lower()):
            for index, subject in enumerate(SUBJECTS):
                if word.removesuffix("s") in subject or word in subject:
                    vector[index] += 1.0
            number = int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big")
            vector[number % self.dimension] += 0.05
        return vector
