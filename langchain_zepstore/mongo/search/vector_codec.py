"""Vectors as documents hold them: with the model that made them and a stamp, new with each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bson import ObjectId
from bson.binary import Binary

from langchain_zepstore.errors import APIError
from langchain_zepstore.mongo.documents import Embedding

if TYPE_CHECKING:
    from langchain_zepstore.core.embedder import Vectors

_FLOATS = 9  # BSON's subtype of vectors
_FLOAT32 = b"\x27\x00"  # what their bytes begin with
# An ObjectId of that name; where an embedding ends a document, it ends it too.
_STAMP = b"\x07stamp\x00"
_STAMP_AT, _STAMP_END = -14, -2


def embedding_of(model: str, vector: Vectors | None) -> Embedding:
    """Return the fields of a vector in a document; without one, those that say so."""
    if vector is None or not vector.any():
        return {"model": model, "stamp": ObjectId()}
    return {
        "model": model,
        "dimension": len(vector),
        "vector": Binary(_FLOAT32 + vector.astype("<f4").tobytes(), _FLOATS),
        "stamp": ObjectId(),
    }


def fits(embedding: Embedding | None, model: str, dimension: int | None = None) -> bool:
    """Whether an embedding is one of the model, and of the dimension if one is given."""
    if not embedding or embedding.get("model") != model:
        return False
    return dimension is None or embedding.get("dimension") in (None, dimension)


def vector_in(embedding: Embedding | None, dimension: int) -> Vectors | None:
    """Return the vector of an embedding; ``None`` if it says that there is none.

    Raises:
        APIError: The model makes vectors of several lengths.
    """
    import numpy as np  # noqa: PLC0415 - an extra

    if embedding is None or "vector" not in embedding:
        return None
    vector: Vectors = np.frombuffer(embedding["vector"][len(_FLOAT32) :], dtype="<f4")
    if len(vector) != dimension:
        raise APIError(
            f"the embeddings {embedding['model']} make vectors of {len(vector)} numbers of what "
            f"was said, and of {dimension} of what is looked for"
        )
    return vector


def stamp_at_end(document: bytes) -> bytes:
    """Return the stamp of the embedding that a document's BSON ends with; nothing without one."""
    has_stamp = document[_STAMP_AT - len(_STAMP) : _STAMP_AT] == _STAMP
    return document[_STAMP_AT:_STAMP_END] if has_stamp else b""


def unit(vectors: Vectors) -> Vectors:
    """Return vectors of length 1 in the same directions, a row each; zeros stay."""
    import numpy as np  # noqa: PLC0415 - an extra

    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Vectors = (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return scaled
