"""What a signature says of the columns, and what the model itself knows of them, put together."""

from __future__ import annotations

from dataclasses import replace

from forestflow.domain.errors import LoadFailed
from forestflow.domain.tensors import IOMetadata, TensorType
from forestflow.servables.estimators.estimator import Estimator, Feature
from forestflow.servables.estimators.inputs import MATRIX, TEXTS, UNUSED, Inputs

_LISTED = 10  # columns that a refusal names


def not_enough(why: str) -> str:
    """What a refusal says of a model that comes without a signature."""
    return (
        "what the model keeps of its columns is not enough to serve it: save it with an input example or a "
        f"signature, as in save_model(..., input_example=frame.head()). {why}"
    )


def own_inputs(estimator: Estimator) -> Inputs:
    """What the estimator knows of its features: their names and types, or how many they are.

    Raises LoadFailed for columns whose types nothing but the code of a step could show.
    """
    if opaque := [repr(f.name) for f in estimator.features if f.opaque]:
        listed = ", ".join(opaque[:_LISTED]) + (", …" if len(opaque) > _LISTED else "")
        raise LoadFailed(not_enough(f"The model's own code reads {listed}: texts or numbers"))
    if estimator.features:
        each = [
            IOMetadata(f.name, _type(f) or estimator.number, description=None if f.used else UNUSED)
            for f in estimator.features
        ]
        return Inputs(tuple(each), optional=frozenset([f.name for f in estimator.features if not f.used]))
    kind = TensorType.String if estimator.texts else estimator.number
    if estimator.texts and estimator.width is None:
        return Inputs((IOMetadata(MATRIX, kind),))
    width = -1 if estimator.width is None else estimator.width
    return Inputs((IOMetadata(MATRIX, kind, (width,)),), tensors=True)


def _type(feature: Feature) -> TensorType | None:
    return feature.type if feature.levels is None else feature.levels.type


def ordered(inputs: Inputs, estimator: Estimator) -> Inputs:
    """The columns of a signature in the order of the model's, where both name the same ones."""
    by_name = {io.name: io for io in inputs.each}
    names = [feature.name for feature in estimator.features]
    if inputs.tensors or by_name.keys() != set(names):
        return inputs
    return replace(inputs, each=tuple([by_name[name] for name in names]))


def matched(inputs: Inputs, estimator: Estimator) -> list[tuple[IOMetadata, Feature]]:
    """Inputs with what the model knows of them: by name, or by place where it has as many columns of other names.

    LightGBM writes some characters of names in another way, for instance.
    """
    known = {feature.name: feature for feature in estimator.features}
    by_name = [(io, known[io.name]) for io in inputs.each if io.name in known]
    if len(by_name) == len(inputs.each) or inputs.tensors or len(inputs.each) != len(known):
        return by_name
    by_place = list(zip(inputs.each, estimator.features, strict=True))
    agree = all(known.get(io.name, feature) is feature for io, feature in by_place)
    return by_place if agree else by_name


def with_categories(inputs: Inputs, estimator: Estimator) -> Inputs:
    """Describe the columns that have no description by the categories that the estimator knows."""
    levels = {io.name: f.levels for io, f in matched(inputs, estimator) if f.levels is not None}
    each = [
        replace(io, description=levels[io.name].described) if io.name in levels and io.description is None else io
        for io in inputs.each
    ]
    return replace(inputs, each=tuple(each))


def check(estimator: Estimator, inputs: Inputs) -> None:
    """Raises LoadFailed for a signature that is not of this model."""
    if inputs.tensors:
        return
    known = {io.name: feature.levels for io, feature in matched(inputs, estimator) if feature.levels is not None}
    for io in inputs.each:
        levels = known.get(io.name)
        if levels is not None and not levels.fits(io.type):
            raise LoadFailed(
                f"the signature has {io.type.name} for {io.name!r}, the categories of the model are {levels.type.name}"
            )
    if len(known) < len(lacking := [feature.name for feature in estimator.features if feature.levels is not None]):
        raise LoadFailed(f"the model has categories of {', '.join(map(repr, lacking))}, the signature other columns")
    texts = [io for io in inputs.each if io.type in TEXTS and io.name not in known]
    if texts and estimator.frames == "never":
        raise LoadFailed(
            f"the signature has {texts[0].type.name} for {texts[0].name!r}, of which the model has no categories"
        )
    if estimator.width is None or texts or len(inputs.each) == estimator.width:
        return
    raise LoadFailed(
        f"the signature has {len(inputs.each)} columns, the model was trained with {estimator.width} features"
    )
