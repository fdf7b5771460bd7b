"""What a model's class says of itself, read once from its attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forestflow.domain.errors import LoadFailed
from forestflow.domain.tensors import IOMetadata, ModelMetadata, Signature, TensorType

METHODS = ("predict", "classify", "regress")
INPUTS = ("list", "numpy", "columns")


@dataclass(frozen=True, slots=True)
class Options:
    """How to call an object; :mod:`forestflow.servables.python` says what each means."""

    inputs: str
    batched: bool
    metadata: ModelMetadata

    @classmethod
    def of(cls, model: Any) -> Options:
        """Raises LoadFailed for an attribute that cannot be, and for a class without a method to call."""
        inputs = getattr(model, "inputs", "list")
        if inputs not in INPUTS:
            raise LoadFailed(f"the class's attribute inputs is {inputs!r}; expected one of {', '.join(INPUTS)}")
        batched = getattr(model, "batched", False)
        if not isinstance(batched, bool):
            raise LoadFailed(f"the class's attribute batched is {batched!r}; expected True or False")
        listed = getattr(model, "methods", ())
        if isinstance(listed, str) or not all(isinstance(name, str) and name[:1] != "_" for name in listed):
            raise LoadFailed(f"the class's attribute methods is {listed!r}; expected names of public methods")
        methods = [name for name in dict.fromkeys((*METHODS, *listed)) if callable(getattr(model, name, None))]
        if missing := set(listed) - set(methods):
            raise LoadFailed(f"the class has no method {min(missing)!r}, which its attribute methods lists")
        if not methods:
            raise LoadFailed(f"the class {type(model).__name__} has none of the methods {', '.join(METHODS)}")
        described = getattr(model, "metadata", {})
        if not isinstance(described, Mapping):
            raise LoadFailed(f"the class's attribute metadata is a {type(described).__name__}; expected a dict")
        ins, outs = (_described(part, described.get(part, ())) for part in ("inputs", "outputs"))
        signatures = {name: Signature(ins, outs, batched, name) for name in methods}
        default = "predict" if "predict" in methods else methods[0]
        return cls(inputs, batched, ModelMetadata(ins, outs, signatures, default))


def _described(part: str, tensors: Sequence[Mapping[str, Any]]) -> tuple[IOMetadata, ...]:
    try:
        return tuple(
            IOMetadata(
                str(tensor["name"]),
                TensorType[tensor["type"]],
                tuple(int(size) for size in tensor.get("shape", ())),
                tensor.get("description"),
            )
            for tensor in tensors
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LoadFailed(
            f"the class's metadata: {part} must be a list of dicts with name, type (one of "
            f"{', '.join(kind.name for kind in TensorType)}) and perhaps shape and description; {error!r} is wrong"
        ) from None
