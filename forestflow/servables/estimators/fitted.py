"""What a fitted model of scikit-learn still knows of the DataFrame that it was trained on: names, texts, categories.

Encoders keep the categories of their columns, vectorizers take texts, imputers keep a value; a pipeline or a
ColumnTransformer leads to them. Columns that nobody speaks of are numbers, unless code that is none of the frameworks'
reads them first: this may make numbers of anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from forestflow.domain.tensors import TensorType
from forestflow.servables.estimators.boosted import Categories, lightgbm_features, xgboost_features
from forestflow.servables.estimators.estimator import Feature

_Known = dict[str, Feature]  # by column; those of which nothing is known are not in it

# Where fitted models keep those that they hand their input on to.
_INNER = ("best_estimator_", "estimator_", "regressor_", "estimators_", "calibrated_classifiers_", "estimator")
_LOOKED_AT = 8  # of a list of models, which are all of one kind


def boosted_features(model: Any, categories: Categories | None = None) -> tuple[Feature, ...] | None:
    """The columns of a fitted XGBModel or LGBMModel; ``None`` for any other model. Raises LoadFailed."""
    home = type(model).__module__.partition(".")[0]
    if home == "xgboost" and hasattr(model, "get_booster"):
        return xgboost_features(model.get_booster(), categories)
    if home == "lightgbm" and hasattr(model, "booster_"):
        return lightgbm_features(model.booster_, categories)
    return None


def is_fitted_xgboost(model: Any) -> bool:
    """Whether it is an XGBModel that has a booster; wrappers keep the prototype that they fitted a copy of, too."""
    if type(model).__module__.partition(".")[0] != "xgboost" or not hasattr(model, "get_booster"):
        return False
    return bool(model.__sklearn_is_fitted__())


def features(model: Any, categories: Categories | None = None) -> tuple[Feature, ...]:
    """The columns that the model was trained on; none where it knows no names."""
    names = [str(name) for name in _kept(model, "feature_names_in_", ())]
    if not names:
        return ()
    known = _known(model, names, categories)
    return tuple([known.get(name) or Feature(name) for name in names])


def width(model: Any) -> int | None:
    """How many columns the model was trained on; ``None`` where it does not know."""
    found = _kept(model, "n_features_in_", None)
    return None if found is None else int(found)


def texts(model: Any) -> tuple[str, ...]:
    """A text for each column of a model that knows no names and takes nothing but texts; none for any other model."""
    if _kept(model, "feature_names_in_", None) is not None:
        return ()
    names = [f"x{i}" for i in range(width(model) or 1)]
    known = _known(model, names, None)
    samples = [known[name].sample for name in names if name in known and known[name].type is TensorType.String]
    return tuple(samples) if len(samples) == len(names) else ()


def _kept(model: Any, attribute: str, default: Any) -> Any:
    """An attribute of a model, or of the first step of a pipeline that is more than a name."""
    found = getattr(model, attribute, None)
    if found is None and hasattr(model, "steps"):
        found = next((_kept(s, attribute, None) for _, s in model.steps if s not in (None, "passthrough")), None)
    return default if found is None else found


def _known(part: Any, names: Sequence[str], categories: Categories | None) -> _Known:
    """What ``part`` knows of the columns that it gets."""
    if hasattr(part, "steps"):
        return _of_steps([step for _, step in part.steps], names, categories)
    if hasattr(part, "transformers_"):
        return _of_columns(part.transformers_, names, categories)
    if hasattr(part, "transformer_list"):
        return _of_each([inner for _, inner in part.transformer_list], names, categories)
    if getattr(part, "_preprocessor", None) is not None:  # HistGradientBoosting's, for categories
        return _known(part._preprocessor, names, categories)
    here = None if categories is None else {name: values for name, values in categories.items() if name in names}
    if hasattr(part, "get_booster") and not is_fitted_xgboost(part):
        return {}
    if (boosted := boosted_features(part, here)) is not None:
        return {feature.name: feature for feature in boosted if feature.levels is not None and feature.name in names}
    if hasattr(part, "build_analyzer"):
        word = next(iter(getattr(part, "vocabulary_", ())), "a")
        return {name: Feature(name, TensorType.String, sample=word) for name in names}
    if isinstance(kept := getattr(part, "categories_", None), list) and len(kept) == len(names):
        return _of_values(dict(zip(names, kept, strict=True)))
    if isinstance(kept := getattr(part, "statistics_", None), np.ndarray) and kept.shape == (len(names),):
        return _of_values({name: [value] for name, value in zip(names, kept.tolist(), strict=True)})
    if _is_opaque(part):
        return {name: Feature(name, opaque=True) for name in names}
    return _of_each(list(_inner(part)), names, categories)


def _is_opaque(part: Any) -> bool:
    """Whether it makes its output with code of the model's author, which says nothing of its input."""
    if any(cls.__name__ == "FunctionTransformer" for cls in type(part).__mro__):
        return not (part.validate or _takes_numbers(part.func))
    transforms = next((cls for cls in type(part).__mro__ if "transform" in vars(cls)), None)
    return transforms is not None and transforms.__module__.partition(".")[0] != "sklearn"


def _takes_numbers(function: Any) -> bool:
    """Whether it is known to take nothing else: a function of NumPy or scikit-learn, or none."""
    if isinstance(function, partial):
        return _takes_numbers(function.func)
    if isinstance(function, np.ufunc):  # those that frompyfunc makes of any code take objects alone
        return any(set(types) - set("O->") for types in function.types)
    return function is None or str(getattr(function, "__module__", "")).startswith("sklearn.")


def _inner(part: Any) -> Iterator[Any]:
    """The models that it hands its input on to; a prototype where it keeps nothing that was fitted."""
    none = True
    for attribute in _INNER:
        found = getattr(part, attribute, None)
        if found is not None and (none or attribute != "estimator"):
            none = False
            yield from found[:_LOOKED_AT] if isinstance(found, list) else [found]


def _of_each(parts: Sequence[Any], names: Sequence[str], categories: Categories | None) -> _Known:
    """Parts of which each gets all columns; what one of them does not speak of is a number to it."""
    return _merged([{**{name: Feature(name) for name in names}, **_known(p, names, categories)} for p in parts])


def _of_steps(steps: Sequence[Any], names: Sequence[str], categories: Categories | None) -> _Known:
    """The first step sees the columns, and the next one as long as columns stay what they are."""
    found: _Known = {}
    for step in steps:
        later = _known(step, names, categories)
        told = {name for name, feature in later.items() if feature.type is not None or feature.levels is not None}
        found = {**later, **{name: feature for name, feature in found.items() if not (feature.opaque and name in told)}}
        imputes = type(step).__name__ == "SimpleImputer" and not step.add_indicator
        if not (step in (None, "passthrough") or imputes or type(step).__name__ == "FunctionTransformer"):
            break
    return found


def _of_columns(parts: Sequence[tuple[str, Any, Any]], names: Sequence[str], categories: Categories | None) -> _Known:
    """The parts of a ColumnTransformer, each with its columns."""
    found: list[_Known] = []
    for _, part, chosen in parts:
        theirs = _chosen(chosen, names)
        if part == "drop":
            found.append({name: Feature(name, used=False) for name in theirs})
        else:
            found.append({**{name: Feature(name) for name in theirs}, **_known(part, theirs, categories)})
    return _merged(found)


def _chosen(columns: Any, names: Sequence[str]) -> list[str]:
    """Columns as scikit-learn lets one write them: names, places, a slice of either, or a mask."""
    if isinstance(columns, slice):
        ends = [names.index(end) if isinstance(end, str) else end for end in (columns.start, columns.stop)]
        stop = ends[1] + 1 if isinstance(columns.stop, str) else ends[1]  # names are included
        return list(names[ends[0] : stop : columns.step])
    if isinstance(columns, (str, int, np.integer)):
        columns = [columns]
    columns = list(columns)
    if columns and all(isinstance(column, (bool, np.bool_)) for column in columns):
        return [name for name, chosen in zip(names, columns, strict=True) if chosen]
    return [str(column) if isinstance(column, str) else names[column] for column in columns]


def _merged(several: Sequence[_Known]) -> _Known:
    """Who knows most of a column counts; it is not used where nobody uses it."""
    merged: _Known = {}
    for known in several:
        for name, feature in known.items():
            if name not in merged or _rank(feature) > _rank(merged[name]):
                merged[name] = feature
    return merged


def _rank(feature: Feature) -> tuple[bool, ...]:
    return (
        feature.used,
        feature.levels is not None,
        feature.type is not None,
        not feature.opaque,
        feature.sample is not None,
    )


def _of_values(kept: Mapping[str, Any]) -> _Known:
    """Columns by values that they may have: their type, where all are of one, and a sample."""
    found: _Known = {}
    for name, values in kept.items():
        present = [value for value in np.asarray(values).tolist() if value is not None and value == value]  # no NaN
        kinds = set(map(type, present))
        if kinds == {str}:
            found[name] = Feature(name, TensorType.String, sample=present[0], other=present[-1])
        elif kinds == {bool}:
            found[name] = Feature(name, TensorType.Bool, sample=present[0])
        elif kinds and kinds <= {int, float}:
            found[name] = Feature(name, sample=present[0])
    return found
