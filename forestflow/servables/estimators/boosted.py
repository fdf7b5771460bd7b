"""XGBoost and LightGBM: their boosters as estimators, and the categories that their models keep of pandas columns."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from forestflow.domain.errors import LoadFailed
from forestflow.domain.tensors import TensorType
from forestflow.servables.estimators.estimator import BOOSTED, Array, Estimator, Feature
from forestflow.servables.estimators.levels import Levels

Categories = Mapping[str, Sequence[Any]]

_XGBOOST_NUMBERS = {9: np.int8, 10: np.uint8, 11: np.int16, 13: np.int32, 15: np.int64}  # as its JSON numbers types


def of_xgboost(booster: Any, threads: int, categories: Categories | None = None) -> Estimator:
    """An xgboost.Booster; NaN is a value that is missing."""
    booster.set_param({"nthread": threads})
    return Estimator(
        {"predict": _in_place(booster) if _kind(booster) == "gbtree" else _by_matrix(booster, threads)},
        TensorType.Float32,
        xgboost_features(booster, categories),
        booster.num_features(),
        frames="never",
        rows=BOOSTED,
    )


def of_lightgbm(booster: Any, threads: int, categories: Categories | None = None) -> Estimator:
    """A lightgbm.Booster."""

    def predict(rows: Array) -> Any:
        return booster.predict(rows, num_threads=threads)

    features = lightgbm_features(booster, categories)
    return Estimator(
        {"predict": predict}, TensorType.Float64, features, booster.num_feature(), frames="never", rows=BOOSTED
    )


def _kind(booster: Any) -> str:
    """What it boosts: gbtree, dart or gblinear."""
    return str(json.loads(booster.save_config())["learner"]["gradient_booster"]["name"])


def _in_place(booster: Any) -> Callable[[Array], Any]:
    """Predict without a DMatrix, which costs a small request more than its trees do."""

    def predict(rows: Array) -> Any:
        return booster.inplace_predict(rows, missing=np.nan, validate_features=False)

    return predict


def _by_matrix(booster: Any, threads: int) -> Callable[[Array], Any]:
    """Predict with a DMatrix: gblinear knows no other way, and dart's last digits are others without one."""
    import xgboost

    def predict(rows: Array) -> Any:
        return booster.predict(xgboost.DMatrix(rows, missing=np.nan, nthread=threads), validate_features=False)

    return predict


# --- XGBoost ----------------------------------------------------------------------------------------------------------


def xgboost_features(booster: Any, categories: Categories | None = None) -> tuple[Feature, ...]:
    """The names of its columns, where it has any, with their categories: those of ``categories``, or its own.

    XGBoost keeps the categories of DataFrames from 3.1 on. Raises LoadFailed where a column of a DataFrame has
    categories that are not to be known; columns without names were codes to begin with.
    """
    names = tuple(booster.feature_names or ())
    kinds = tuple(booster.feature_types or ())
    categorical = {name for name, kind in zip(names, kinds, strict=False) if kind == "c"}
    own = dict(zip(names, _kept_by_xgboost(booster), strict=False)) if categorical else {}
    given = _given(names, categories, closed={name for name, kept in own.items() if kept})
    features = []
    for name in names:
        levels, kept = given.get(name), own.get(name)
        if levels is None and name in categorical:
            if kept is None or not kept.known:
                why = "XGBoost keeps them from 3.1 on, and only texts of ASCII"
                raise LoadFailed(unknown_categories(f"column {name!r}", why))
            levels = _levels(name, kept.values, closed=True, dtype=kept.dtype)
        features.append(Feature(name, levels=levels))
    return tuple(features)


class _Kept:
    """What XGBoost's JSON says of one column's categories: texts as bytes one after the other, or numbers."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.known, self.dtype = True, None
        self.values: list[Any] = entry["values"]
        if "offsets" in entry:
            text = bytes([value & 0xFF for value in entry["values"]])
            # 3.2 counts characters where it means bytes: what is beyond ASCII is cut off in the wrong places.
            self.known = text.isascii()
            cuts = entry["offsets"]
            self.values = [text[a:b].decode("ascii", "replace") for a, b in pairwise(cuts)]
        else:
            number = _XGBOOST_NUMBERS.get(entry["type"])
            self.dtype = None if number is None else np.dtype(number)


def _kept_by_xgboost(booster: Any) -> list[_Kept | None]:
    """Return the categories of each column, ``None`` for one without.

    They are read from the JSON of the model, because XGBoost's own reader needs pyarrow.
    """
    text = booster.save_raw("json")
    began = text.find(b'"cats":{')  # quotes inside a text are escaped: this is a member's name
    if began < 0:
        return []
    began += len(b'"cats":')
    depth = 0
    for brace in re.finditer(rb"[{}]", memoryview(text)[began:]):  # numbers alone lie in between
        depth += 1 if brace[0] == b"{" else -1
        if depth == 0:
            entries = json.loads(bytes(text[began : began + brace.end()]))["enc"]
            return [_Kept(entry) if entry["values"] else None for entry in entries]
    return []


# --- LightGBM ---------------------------------------------------------------------------------------------------------


def lightgbm_features(booster: Any, categories: Categories | None = None) -> tuple[Feature, ...]:
    """The names of its columns with their categories. Names that LightGBM made up itself (Column_0, …) count as none.

    It keeps the categories of a DataFrame's columns as a list, without their names. Raises LoadFailed where it does not
    show which column each is of.
    """
    names = tuple(booster.feature_name())
    given = _given(names, categories)
    kept = booster.pandas_categorical or []
    if not kept and not given and names == tuple(f"Column_{i}" for i in range(len(names))):
        return ()
    places = _places(booster, kept)
    if places is None and len(given) != len(kept):
        why = "LightGBM lists them without the names of their columns, and more than one column fits"
        raise LoadFailed(unknown_categories(f"{len(kept)} columns", why))
    own = {names[at]: _levels(names[at], values) for at, values in zip(places or (), kept, strict=places is not None)}
    return tuple([Feature(name, levels=given.get(name) or own.get(name)) for name in names])


def _places(booster: Any, kept: Sequence[Sequence[Any]]) -> tuple[int, ...] | None:
    """The columns, in order, whose categories these are; ``None`` where several ways fit, or none.

    Unordered ones are what the model calls categorical features, ordered ones are numbers to it: codes from 0 on.
    """
    if not kept:
        return ()
    head, _, rest = booster.model_to_string(num_iteration=1).partition("\nTree=0")
    ranges = _line(head, "feature_infos=").split(" ")
    listed = re.search(r"^\[categorical_feature: ([\d,]*)\]$", rest, re.MULTILINE)
    named = {int(place) for place in listed[1].split(",") if place} if listed else set()
    unordered = {i for i, seen in enumerate(ranges) if i in named or (seen != "none" and not seen.startswith("["))}

    def holds(column: int, place: int) -> bool:
        """Whether the codes that training saw in the column are below the number of categories."""
        codes = [float(code) for code in ranges[column].strip("[]").split(":") if code != "none"]
        return all(-1 <= code < len(kept[place]) and code == int(code) for code in codes)

    if len(unordered) == len(kept):
        only = tuple(sorted(unordered))
        return only if all(holds(column, place) for place, column in enumerate(only)) else None
    # up to two ways to give the columns from here on the categories from each place on, from the last column backwards
    ways: list[list[tuple[int, ...]]] = [[] for _ in kept] + [[()]]
    for column in reversed(range(len(ranges))):
        for place in range(len(kept) + 1):
            found: list[tuple[int, ...]] = []
            if place < len(kept) and ways[place + 1] and holds(column, place):
                found = [(column, *more) for more in ways[place + 1]]
            ways[place] = (found + (ways[place] if column not in unordered else []))[:2]
    return ways[0][0] if len(ways[0]) == 1 else None


def _line(text: str, name: str) -> str:
    return next((line.removeprefix(name) for line in text.splitlines() if line.startswith(name)), "")


# --- both -------------------------------------------------------------------------------------------------------------


def unknown_categories(columns: str, why: str) -> str:
    """What a refusal says."""
    return (
        f"the model was trained with categories of {columns} that its files do not hold ({why}); save them with the "
        'model, in the order of the DataFrame: save_model(..., metadata={"categories": '
        "{name: list(frame[name].cat.categories)}})"
    )


def _given(
    names: Collection[str], categories: Categories | None, closed: Collection[str] = frozenset()
) -> dict[str, Levels]:
    """What the metadata of the MLmodel file says. Raises LoadFailed for a column that the model has not."""
    if unknown := [name for name in categories or () if name not in names]:
        raise LoadFailed(f"the metadata has categories of {unknown[0]!r}, which is no column of the model")
    return {name: _levels(name, values, closed=name in closed) for name, values in (categories or {}).items()}


def _levels(name: str, values: Sequence[Any], *, closed: bool = False, dtype: np.dtype[Any] | None = None) -> Levels:
    try:
        return Levels(values, closed=closed, dtype=dtype)
    except LoadFailed as problem:
        raise LoadFailed(f"column {name!r}: {problem.message}") from None
