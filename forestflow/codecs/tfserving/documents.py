"""What TensorFlow Serving tells of a model: its signatures and the states of its versions, as messages and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message

from forestflow._gen import tensorflow_serving_pb2 as pb
from forestflow.codecs.tfserving.tensors import DATA_TYPES, shape_of
from forestflow.domain.errors import InvalidInput, Malformed
from forestflow.domain.lifecycle import ServableState
from forestflow.domain.naming import version_of_name
from forestflow.domain.reports import ServableStatus
from forestflow.domain.tensors import IOMetadata, ModelMetadata

SIGNATURE_DEF = "signature_def"
_METHOD = "tensorflow/serving/"
_METHODS = frozenset({"predict", "classify", "regress"})
_TYPE_URL = "type.googleapis.com/tensorflow.serving.SignatureDefMap"

_STATES = {
    ServableState.LOADING: pb.ModelVersionStatus.LOADING,
    ServableState.AVAILABLE: pb.ModelVersionStatus.AVAILABLE,
    ServableState.FAILED: pb.ModelVersionStatus.END,
    ServableState.RETIRED: pb.ModelVersionStatus.END,
}


@dataclass(frozen=True, slots=True)
class Spec:
    """Which model, version or label, and signature a message names; empty where it names none."""

    model: str
    version: str = ""
    label: str = ""
    signature: str = ""


def spec_of(message: bytes) -> Spec:
    """The ModelSpec of any request; the rest is not looked at. Raises Malformed."""
    try:
        spec = pb.Addressed.FromString(message).model_spec
    except DecodeError as error:
        raise Malformed(f"not a request of TensorFlow Serving: {error}") from None
    choice = spec.WhichOneof("version_choice")
    version = str(spec.version.value) if choice == "version" else ""
    return Spec(spec.name, version, spec.version_label, spec.signature_name)


def check_metadata_fields(message: bytes) -> None:
    """Raises InvalidInput where a GetModelMetadataRequest does not ask for the signatures, Malformed."""
    try:
        fields = pb.GetModelMetadataRequest.FromString(message).metadata_field
    except DecodeError as error:
        raise Malformed(f"not a GetModelMetadataRequest: {error}") from None
    if not fields:
        raise InvalidInput("GetModelMetadataRequest must specify at least one metadata_field")
    for field in fields:
        if field != SIGNATURE_DEF:
            raise InvalidInput(f"Metadata field {field} is not supported")


# --- signatures -----------------------------------------------------------------------------------------------------


def metadata_message(model: str, release_version: str, metadata: ModelMetadata) -> bytes:
    """A GetModelMetadataResponse."""
    response = pb.GetModelMetadataResponse(model_spec=_spec(model, release_version))
    packed = response.metadata[SIGNATURE_DEF]
    packed.type_url = _TYPE_URL
    packed.value = _signatures(metadata).SerializeToString(deterministic=True)
    return response.SerializeToString(deterministic=True)


def metadata_json(model: str, release_version: str, metadata: ModelMetadata) -> bytes:
    """Return a model's metadata as REST has it."""
    signatures = {SIGNATURE_DEF: _document(_signatures(metadata))}
    return _json({"model_spec": _document(_spec(model, release_version)), "metadata": signatures})


def _spec(model: str, release_version: str) -> pb.ModelSpec:
    spec = pb.ModelSpec(name=model)
    spec.version.value = version_of_name(release_version)
    return spec


def _signatures(metadata: ModelMetadata) -> pb.SignatureDefMap:
    message = pb.SignatureDefMap()
    for name, signature in metadata.every_signature().items():
        described = message.signature_def[name]
        described.method_name = (_METHOD if signature.method in _METHODS else "") + signature.method
        for into, tensors in ((described.inputs, signature.inputs), (described.outputs, signature.outputs)):
            for io in tensors:
                into[io.name].CopyFrom(_tensor_info(io, signature.batched))
    return message


def _tensor_info(io: IOMetadata, batched: bool) -> pb.TensorInfo:
    shape = pb.TensorShape(unknown_rank=True) if io.any_rank else shape_of((-1, *io.shape) if batched else io.shape)
    return pb.TensorInfo(name=io.name, dtype=DATA_TYPES[io.type], tensor_shape=shape)


# --- versions -------------------------------------------------------------------------------------------------------


def status_message(statuses: Iterable[ServableStatus]) -> bytes:
    """A GetModelStatusResponse."""
    return _statuses(statuses).SerializeToString(deterministic=True)


def status_json(statuses: Iterable[ServableStatus]) -> bytes:
    """Return the states of versions as REST has them."""
    return _json(_document(_statuses(statuses)))


def _statuses(statuses: Iterable[ServableStatus]) -> pb.GetModelStatusResponse:
    response = pb.GetModelStatusResponse()
    for told in statuses:
        failed = told.state is ServableState.FAILED
        response.model_version_status.add(
            version=version_of_name(told.fqrv.release_version),
            state=_STATES[told.state],
            status=pb.Status(
                error_code=pb.Status.UNKNOWN if failed else pb.Status.OK,
                error_message=(told.message or "") if failed else "",
            ),
        )
    return response


def _document(message: Message) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _json(document: Any) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
