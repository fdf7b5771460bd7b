"""The flavors of releases as protobuf messages, and back."""

from __future__ import annotations

from forestflow._gen.serve_request_pb2 import (
    FlavorShim,
    H2OMojoFlavor,
    MLmodelFlavor,
    OnnxFlavor,
    PythonFlavor,
    TensorFlowFlavor,
)
from forestflow.domain.errors import Invalid
from forestflow.domain.requests import Flavor, H2OMojo, MLmodel, Onnx, Python, TensorFlow


def flavor_to(flavor: Flavor) -> FlavorShim:
    match flavor:
        case H2OMojo(mojo_path, version):
            return FlavorShim(H2OMojo=H2OMojoFlavor(mojoPath=mojo_path, version=version))
        case TensorFlow(model_path, signature, tags):
            return FlavorShim(TensorFlow=TensorFlowFlavor(modelPath=model_path, signature=signature, tags=tags))
        case Python(script, class_name, requirements):
            return FlavorShim(Python=PythonFlavor(script=script, className=class_name, requirements=requirements))
        case Onnx(model_path):
            return FlavorShim(ONNX=OnnxFlavor(modelPath=model_path))
        case MLmodel(model_path, name):
            return FlavorShim(MLmodel=MLmodelFlavor(modelPath=model_path, flavor=name))


def flavor_from(shim: FlavorShim) -> Flavor:
    """Raises Invalid for a shim that holds no flavor."""
    match shim.WhichOneof("sealed_value"):
        case "H2OMojo":
            mojo = shim.H2OMojo
            return H2OMojo(mojo.mojoPath, mojo.version if mojo.HasField("version") else None)
        case "TensorFlow":
            model = shim.TensorFlow
            signature = model.signature if model.HasField("signature") else None
            return TensorFlow(model.modelPath, signature, tuple(model.tags))
        case "Python":
            python = shim.Python
            return Python(python.script, python.className, tuple(python.requirements))
        case "ONNX":
            return Onnx(shim.ONNX.modelPath)
        case "MLmodel":
            described = shim.MLmodel
            return MLmodel(described.modelPath, described.flavor if described.HasField("flavor") else None)
        case _:
            raise Invalid("flavor names no flavor")
