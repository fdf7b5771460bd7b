"""Word embeddings (Word2Vec), which score words and not rows of numbers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from forestflow.domain.errors import InvalidInput
from forestflow.domain.independence import Independence
from forestflow.domain.tensors import Batch, Column, IOMetadata, Layout, ModelMetadata, TensorType
from forestflow.servables.h2o.model import MojoModel

BY_ROW = Independence(True, "by construction: an H2O MOJO scores row by row")


class WordEmbeddings:
    """Every String field of a batch is answered by a Float32 column of its name, shape (rows, vector size).

    A String tensor of a protocol of tensors, shape (rows, words), is answered by (rows, words, vector size).

    As in ``EasyPredictModelWrapper.predictWord2Vec``, fields of other types are passed over; an unknown word is NaN.
    """

    slice_rows = 1024

    def __init__(self, model: MojoModel) -> None:
        self._scorer: Any = model.scorer
        self._size = model.preds
        self.metadata = ModelMetadata(
            (IOMetadata("words", TensorType.String, (-1,)),),
            (IOMetadata("words", TensorType.Float32, (-1, self._size)),),
        )

    def merge_key(self, configs: Mapping[str, str]) -> Hashable:
        return ()

    def independence(self, examples: Sequence[Batch] = ()) -> Mapping[str, Independence]:
        """Rows are independent by construction: each word is looked up for itself."""
        return {self.metadata.default: BY_ROW}

    def predict(self, batch: Batch, configs: Mapping[str, str]) -> Batch:
        """Raises :class:`~forestflow.domain.errors.InvalidInput` where there is no word in it."""
        if not batch.rows or not batch.columns:
            raise InvalidInput("No input data provided")
        answers: dict[str, Column] = {}
        for column in batch.columns:
            if column.type is not TensorType.String:
                continue
            words = column.data.reshape(batch.rows, -1)
            if batch.layout is Layout.RECORDS and words.shape[1] != len(column.fields):
                raise InvalidInput(f"field {column.fields[0]!r} must be one word in each row")
            vectors = np.asarray(self._scorer.embed(words.ravel().tolist()), dtype=np.float32)
            vectors = vectors.reshape(*words.shape, self._size)
            if batch.layout is not Layout.RECORDS:
                answers[column.fields[0]] = Column(TensorType.Float32, column.fields, vectors)
                continue
            for i, name in enumerate(column.fields):
                answers[name] = Column(TensorType.Float32, (name,), vectors[:, i].copy())
        if not answers:
            raise InvalidInput("a word embedding model takes String tensors")
        return Batch(batch.rows, tuple(answers.values()), batch.layout)

    def warm_up(self) -> None:
        """Look one word up."""
        self._scorer.embed(["word"])

    def close(self) -> None:
        self._scorer = None
