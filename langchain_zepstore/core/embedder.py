"""LangChain's ``Embeddings`` as steps of operations, with checked answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_zepstore.core.operation import Cancellable, Operation
from langchain_zepstore.errors import APIError, BadRequestError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from langchain_core.embeddings import Embeddings

    Vectors = npt.NDArray[np.float32]

_MODEL_ATTRIBUTES = ("model", "model_name", "model_id", "deployment", "repo_id")
_MAX_TEXT_CHARACTERS = 20_000  # no model reads more, and some refuse it
_MAX_NAME_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Embedder:
    """Turns texts into vectors.

    Attributes:
        model: The name of the model; vectors of another one cannot be compared.
    """

    model: str
    _query: Callable[[str], Any]
    _documents: Callable[[list[str]], Any]

    def query(self, text: str) -> Operation[Vectors]:
        """Return the vector of a query.

        Raises:
            APIError: The answer is no vector.
        """
        vector: Vectors
        [vector] = _checked([(yield self._query(text[:_MAX_TEXT_CHARACTERS]))], self.model)
        if not vector.any():
            raise APIError(f"the embeddings {self.model} gave no vector for the query")
        return vector

    def documents(self, texts: Sequence[str]) -> Operation[list[Vectors | None]]:
        """Return the vectors of texts; ``None`` for a text without words or a vector.

        Raises:
            APIError: They are not as many as the texts, or not of one length.
        """
        nonempty = [text[:_MAX_TEXT_CHARACTERS] for text in texts if text.strip()]
        rows: Sequence[Vectors] = []
        if nonempty:
            rows = list(_checked((yield self._documents(nonempty)), self.model))
        if len(rows) != len(nonempty):
            raise APIError(
                f"the embeddings {self.model} gave {len(rows)} vectors for {len(nonempty)} texts"
            )
        given = iter(rows)
        return [next(given) if text.strip() else None for text in texts]


def check_embeddings(embeddings: Any) -> None:
    """Check that vectors can be made.

    Raises:
        BadRequestError: They are no ``Embeddings``.
    """
    from langchain_core.embeddings import Embeddings  # noqa: PLC0415 - slow to import

    if not isinstance(embeddings, Embeddings):
        raise BadRequestError(
            "embeddings must be LangChain Embeddings (langchain_core.embeddings), "
            f"not {type(embeddings).__name__}"
        )


def embedders(embeddings: Embeddings) -> tuple[Embedder, Embedder]:
    """Return the embedders for synchronous and for asynchronous operations."""
    model = model_of(embeddings)
    return (
        Embedder(model, embeddings.embed_query, embeddings.embed_documents),
        Embedder(
            model,
            lambda text: Cancellable(embeddings.aembed_query(text)),
            lambda texts: Cancellable(embeddings.aembed_documents(texts)),
        ),
    )


def model_of(embeddings: Embeddings) -> str:
    """Return the name under which vectors are stored: the class, and the model that it names."""
    name = type(embeddings).__name__
    for attribute in _MODEL_ATTRIBUTES:
        model = getattr(embeddings, attribute, None)
        if isinstance(model, str) and model:
            name = f"{name}:{model}"
            break
    size = getattr(embeddings, "dimensions", None)
    if isinstance(size, int):
        name = f"{name}:{size}"
    return name.encode("utf-8", "replace").decode().replace("\0", "")[:_MAX_NAME_CHARACTERS]


def _checked(rows: Any, model: str) -> Vectors:
    import numpy as np  # noqa: PLC0415 - slow to import

    try:
        vectors = np.array([list(row) for row in rows], dtype=np.float32)
    except (ValueError, TypeError, OverflowError) as error:
        raise APIError(f"the embeddings {model} gave no vectors: {error}") from error
    if vectors.ndim != 2 or not vectors.shape[1]:  # noqa: PLR2004
        raise APIError(f"the embeddings {model} gave no vectors")
    vectors[~np.isfinite(vectors).all(axis=1)] = 0
    return vectors
