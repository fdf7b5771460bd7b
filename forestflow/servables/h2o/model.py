"""What a loaded MOJO says of itself, read once from Java into plain values."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from forestflow.domain.errors import LoadFailed
from forestflow.servables.h2o.inputs import Feature, InputRows, Levels

# Categories whose EasyPredict method takes an offset.
_WITH_OFFSET = frozenset({"Binomial", "Multinomial", "Ordinal", "Regression", "CoxPH"})


@dataclass(frozen=True, slots=True)
class MojoModel:
    """One model as Python needs it. ``scorer`` is the Java object ``forestflow.BatchScorer``."""

    scorer: Any
    category: str
    features: int
    preds: int
    labels: tuple[str, ...]
    needs_convert: bool
    inputs: InputRows


def describe(scorer: Any) -> MojoModel:
    """Read the model's inputs and outputs.

    Raises :class:`~forestflow.domain.errors.LoadFailed` for a model without inputs.
    """
    category = str(scorer.category())
    features = int(scorer.features())
    offset = scorer.model().getOffsetName()
    with_offset = offset is not None and category in _WITH_OFFSET
    needs_convert = bool(scorer.needsConvert())
    names = [str(name) for name in scorer.inputs()]
    found = [Feature(name, int(scorer.place(name)), _levels(scorer, name)) for name in names]
    if needs_convert:  # a GAM makes basis columns of some inputs; giving them ready-made works too
        expanded = {str(name) for name in scorer.gamColumns(True)}
        found = [replace(feature, listed=feature.name not in expanded) for feature in found]
        found += [Feature(str(name), -1) for name in scorer.gamColumns(False) if str(name) not in names]
    inputs = InputRows(found, features, str(offset) if with_offset else None, _trained_with(scorer.model()))
    if not inputs.expected_columns and category != "WordEmbedding":
        raise LoadFailed("a model with no inputs; an H2O model must have some features")
    labels = scorer.labels()
    return MojoModel(
        scorer=scorer,
        category=category,
        features=features,
        preds=int(scorer.predsSize()),
        labels=() if labels is None else tuple(str(label) for label in labels),
        needs_convert=needs_convert,
        inputs=inputs,
    )


def _trained_with(model: Any) -> set[str]:
    """All columns of the training frame, the response and those of weights, folds and treatment among them."""
    return {str(name) for names in (model.getNames(), model.getOrigNames()) if names is not None for name in names}


def _levels(scorer: Any, name: str) -> Levels | None:
    """The table of a categorical input, as written by H2O's own encoder; ``None`` for any other input.

    Asked are all values the encoders can know: the levels, and what they accept in place of levels that carry the
    column's name (EnumEncoder: ``column.level``; EnumLimitedEncoder: ``column.top_N_levels``).
    """
    outer = scorer.levels(name)
    if outer is None:
        return None
    levels = [str(level) for level in outer] + [str(level) for level in scorer.innerLevels(name)]
    dotted = f"{name}."
    short = [level.removeprefix(dotted) for level in levels if level.startswith(dotted)]
    short += [s.removeprefix("top_").removesuffix("_levels") for s in short]
    values = list(dict.fromkeys(levels + short))
    table = np.asarray(scorer.encode(name, values)).reshape(1 + len(values), -1)
    known = table[:, 0] == 1
    return Levels({value: i for i, value in enumerate(values, 1) if known[i]}, table[:, 1:].copy())
