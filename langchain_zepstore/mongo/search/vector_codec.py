"""Vectors as documents hold them: with the model that made them and a stamp, new with each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from bson import ObjectId
from bson.binary import Binary

from langchain_zepstore.errors import APIError
from langchain_zepstore.mongo.documents import Embedding, MessageDocument
from langchain_zepstore.mongo.search.hits import decoded

if TYPE_CHECKING:
    from langchain_zepstore.core.embedder import Vectors
    from langchain_zepstore.mongo.search.session_cache import Numbers

    Bytes = npt.NDArray[np.uint8]

_FLOATS = 9  # BSON's subtype of vectors
_FLOAT32 = b"\x27\x00"  # what their bytes begin with
_INT64 = 0x12  # BSON's type
_SHAPE = ["_id", "created_at", "embedding"], ["model", "dimension", "vector", "stamp"]
_TO_INCARNATION = 20  # bytes
_TO_NUMBER = len(b"\x00\x12q\x00")
_TO_TIME = len(b"\x00\x09created_at\x00")
_TO_STAMP, _STAMP, _END = len(b"\x07stamp\x00"), 12, 2

READ_FIELDS = dict.fromkeys(_SHAPE[0], 1)
"""The projection of documents that ``read_rows`` reads."""


@dataclass(frozen=True, slots=True)
class VectorRows:
    """Messages of a session, with their vectors in one array.

    Attributes:
        numbers: Their sequence numbers.
        created: When they were said, in milliseconds.
        vectors: Their unit vectors, a row each.
    """

    numbers: Numbers
    created: Numbers
    vectors: Vectors

    @property
    def nbytes(self) -> int:
        """The memory that they take."""
        return self.vectors.nbytes + self.numbers.nbytes + self.created.nbytes

    @classmethod
    def together(cls, parts: Sequence[VectorRows]) -> VectorRows:
        """Return rows in one."""
        return cls(
            np.concatenate([each.numbers for each in parts]),
            np.concatenate([each.created for each in parts]),
            np.concatenate([each.vectors for each in parts]),
        )

    def up_to(self, last: int) -> VectorRows:
        """Return those up to a number; they are in their order."""
        if not len(self.numbers) or self.numbers[-1] <= last:
            return self
        end = int(self.numbers.searchsorted(last, side="right"))
        return VectorRows(self.numbers[:end], self.created[:end], self.vectors[:end])


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
    if embedding is None or "vector" not in embedding:
        return None
    vector: Vectors = np.frombuffer(embedding["vector"][len(_FLOAT32) :], dtype="<f4")
    if len(vector) != dimension:
        raise APIError(
            f"the embeddings {embedding['model']} make vectors of {len(vector)} numbers of what "
            f"was said, and of {dimension} of what is looked for"
        )
    return vector


def read_rows(
    batch: bytes, model: str, dimension: int
) -> Iterator[tuple[str, VectorRows] | MessageDocument]:
    """Yield what a batch of documents holds: by incarnation the rows of its messages.

    Documents of one shape, as most are, are read together. Others are yielded decoded.

    Args:
        batch: Documents' BSON, with the fields in ``READ_FIELDS``.
        model: The model whose vectors are read.
        dimension: The length of the vectors.
    """
    starts: dict[int, list[int]] = defaultdict(list)
    start = 0
    while start < len(batch):
        size = int.from_bytes(batch[start : start + 4], "little")
        starts[size].append(start)
        start += size
    for size, at in starts.items():
        is_whole = size * len(at) == len(batch)
        alike = batch if is_whole else b"".join([batch[start : start + size] for start in at])
        table = np.frombuffer(alike, dtype=np.uint8).reshape(len(at), size)
        layout = _layout(alike[:size], model, dimension)
        is_alike = layout.fits(table) if layout else np.zeros(len(at), dtype=np.bool_)
        if layout:
            yield from layout.rows(table if is_alike.all() else table[is_alike])
        for row in np.flatnonzero(~is_alike):
            yield decoded(alike[row * size : (row + 1) * size])


@dataclass(frozen=True, slots=True)
class _Layout:
    """The places of what differs between documents of one shape."""

    incarnation: slice
    number: slice
    time: slice
    vector: slice
    stamp: slice

    def fits(self, table: Bytes) -> npt.NDArray[np.bool_]:
        """Return which documents have the first one's shape, which has the layout."""
        same = np.ones(table.shape[1], dtype=np.bool_)
        for differs in (self.incarnation, self.number, self.time, self.vector, self.stamp):
            same[differs] = False
        fits: npt.NDArray[np.bool_] = (table[:, same] == table[0, same]).all(axis=1)
        return fits

    def rows(self, table: Bytes) -> Iterator[tuple[str, VectorRows]]:
        """Yield the rows of each incarnation's documents, which stand together."""

        def values(place: slice, kind: str) -> Any:
            return np.ascontiguousarray(table[:, place]).view(kind)

        incarnations = values(self.incarnation, f"S{self.incarnation.stop - _TO_INCARNATION}")[:, 0]
        size = self.number.stop - self.number.start
        numbers = values(self.number, f"<i{size}")[:, 0].astype(np.int64)
        created, vectors = values(self.time, "<i8")[:, 0], values(self.vector, "<f4")
        changes = np.flatnonzero(incarnations[1:] != incarnations[:-1]) + 1
        bounds = [0, *changes.tolist(), len(table)]
        for start, end in pairwise(bounds):
            part = slice(start, end)
            incarnation = bytes(incarnations[start]).decode()
            yield incarnation, VectorRows(numbers[part], created[part].copy(), unit(vectors[part]))


def _layout(document: bytes, model: str, dimension: int) -> _Layout | None:
    """Return the layout of a document; ``None`` if it has another shape, or no vector."""
    first: Any = decoded(document)
    embedding = first.get("embedding")
    if (list(first), list(embedding or ())) != _SHAPE or not fits(embedding, model, dimension):
        return None
    vector_in(embedding, dimension)
    length = len(first["_id"]["s"].encode())
    number = _TO_INCARNATION + length + _TO_NUMBER
    number_end = number + (8 if document[number - _TO_NUMBER + 1] == _INT64 else 4)
    time = number_end + _TO_TIME
    stamp_end = len(document) - _END
    vector_end = stamp_end - _STAMP - _TO_STAMP
    return _Layout(
        incarnation=slice(_TO_INCARNATION, _TO_INCARNATION + length),
        number=slice(number, number_end),
        time=slice(time, time + 8),
        vector=slice(vector_end - 4 * dimension, vector_end),
        stamp=slice(stamp_end - _STAMP, stamp_end),
    )


def unit(vectors: Vectors) -> Vectors:
    """Return vectors of length 1 in the same directions, a row each; zeros stay."""
    lengths = np.sqrt(np.einsum("...i,...i->...", vectors, vectors))[..., np.newaxis]
    scaled: Vectors = (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32, copy=False)
    return scaled
