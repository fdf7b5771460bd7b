"""ForestFlow's own gRPC service, by its generated stubs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import grpc

from forestflow._gen import contract_pb2, inference_pb2, service_pb2, service_pb2_grpc
from tests.contract.protocol import (
    DECLARED_SHAPES,
    NO_ACTIVE_RELEASE,
    UNFIT_DATA,
    UNKNOWN_CONTRACT,
    Address,
    Array,
    Column,
    Prediction,
    Refused,
    Table,
    Target,
    as_table,
    as_tensors,
)

FIELDS = {"Bytes": "Byte"}  # what a tensor is called where that is not its type's name


class ForestFlowGrpc:
    """The status says what went wrong."""

    lacks: ClassVar = frozenset({DECLARED_SHAPES})
    refusals: ClassVar = {
        UNKNOWN_CONTRACT: (grpc.StatusCode.NOT_FOUND,),
        NO_ACTIVE_RELEASE: (grpc.StatusCode.FAILED_PRECONDITION,),
        UNFIT_DATA: (grpc.StatusCode.INVALID_ARGUMENT,),
    }

    def __init__(self, target: Target) -> None:
        assert target.grpc is not None
        self._channel = grpc.insecure_channel(target.grpc)
        self._stub = service_pb2_grpc.ForestFlowStub(self._channel)

    def score(self, address: Address, table: Table, configs: Mapping[str, str]) -> Prediction:
        contract = contract_pb2.Contract(
            organization=address.organization, project=address.project, contract_number=address.contract_number
        )
        message = service_pb2.ScoreRequest(contract=contract, request=_request(table, configs))
        try:
            return _prediction(self._stub.Score(message, timeout=60))
        except grpc.RpcError as error:
            raise Refused((error.code(),), error.details()) from None

    def echo(self, address: Address, tensors: Mapping[str, Array]) -> dict[str, Array]:
        return as_tensors(self.score(address, as_table(tensors), {}).columns, tensors)

    def close(self) -> None:
        self._channel.close()


def _request(table: Table, configs: Mapping[str, str]) -> inference_pb2.InferenceRequest:
    request = inference_pb2.InferenceRequest(
        schema=[inference_pb2.TensorSchema(type=column.type, fields=column.fields) for column in table],
        configs=configs,
    )
    for i in range(len(table[0].rows) if table else 0):
        datum = request.datum.add()
        for column in table:
            type_ = column.sent_as or column.type
            getattr(datum.tensors.add(), FIELDS.get(type_, type_)).data.extend(column.rows[i])
    return request


def _prediction(message: inference_pb2.Prediction) -> Prediction:
    columns = []
    for i, entry in enumerate(message.schema):
        type_ = inference_pb2.TensorType.Name(entry.type)
        field = FIELDS.get(type_, type_)
        assert all(datum.tensors[i].WhichOneof("sealed_value") == field for datum in message.datum)
        rows = [list(getattr(datum.tensors[i], field).data) for datum in message.datum]
        columns.append(Column(type_, tuple(entry.fields), rows))
    contract = message.fqrv.contract
    address = Address(contract.organization, contract.project, contract.contract_number)
    return Prediction(address, message.fqrv.release_version, tuple(columns))
