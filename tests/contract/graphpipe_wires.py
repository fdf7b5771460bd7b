"""GraphPipe over HTTP and gRPC, its messages written and read by the public Python client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote, unquote

import grpc
import httpx
import numpy as np
from graphpipe import convert

from tests.contract.protocol import (
    ANNOUNCED_TYPES,
    ANSWERED_FIELDS,
    BOOLEANS,
    FINAL_ZEROS,
    NO_ACTIVE_RELEASE,
    RAGGED_ROWS,
    TEXTS_APART,
    UNFIT_DATA,
    UNKNOWN_CONTRACT,
    Address,
    Array,
    Column,
    Prediction,
    Refused,
    Table,
    Target,
)

TYPES = {"String": np.dtype(object)}  # the others are numpy's names for them


class _GraphPipe:
    """Each field is a tensor of its own, by name."""

    lacks: ClassVar = frozenset({ANNOUNCED_TYPES, ANSWERED_FIELDS, BOOLEANS, FINAL_ZEROS, RAGGED_ROWS, TEXTS_APART})

    def score(self, address: Address, table: Table, configs: Mapping[str, str]) -> Prediction:
        names, tensors = [], []
        for column in table:
            for i, field in enumerate(column.fields):
                names.append(field)
                values = [[row[i]] for row in column.rows]
                dtype = TYPES.get(column.type) or np.dtype(column.type.lower())
                tensors.append(np.array(values, dtype=dtype).reshape(len(values), 1))
        outputs, fqrv = self._ask(address, ",".join(f"{key}:{value}" for key, value in configs.items()), names, tensors)
        organization, project, number, release = map(unquote, fqrv.split("/"))
        return Prediction(Address(organization, project, int(number)), release, tuple(map(_column, outputs)))

    def echo(self, address: Address, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Rows of single values are a matrix of one column, as GraphPipe has them."""
        matrices = [values.reshape(len(values), -1) for values in tensors.values()]
        outputs, _ = self._ask(address, "", list(tensors), matrices)
        assert [output.shape for output in outputs] == [matrix.shape for matrix in matrices]
        return {
            name: (output.astype(object) if output.dtype.kind == "S" else output).reshape(asked.shape)
            for (name, asked), output in zip(tensors.items(), outputs, strict=True)
        }

    def declare(self, address: Address, shapes: Mapping[str, Sequence[int]]) -> None:
        """The client's message with other numbers in the place of its shapes: NumPy makes no arrays of most of them."""
        stand_ins = [np.empty((0, 10**6 + i, *[1] * (len(shape) - 2))) for i, shape in enumerate(shapes.values())]
        message = bytes(convert.serialize_infer_request(convert.InferReq("", stand_ins, list(shapes))))
        for stand_in, shape in zip(stand_ins, shapes.values(), strict=True):
            written = np.array(stand_in.shape, "<i8").tobytes()
            assert message.count(written) == 1
            message = message.replace(written, np.array(shape, "<i8").tobytes())
        self._answered(address, message)

    def _ask(self, address: Address, config: str, names: list[str], tensors: list[Array]) -> tuple[list[Array], str]:
        """The outputs behind the first, which says who answered; and who, as the transport says it."""
        request = convert.InferReq(config, tensors, names)
        return self._answered(address, bytes(convert.serialize_infer_request(request)))

    def _answered(self, address: Address, message: bytes) -> tuple[list[Array], str]:
        body, fqrv = self._send(address, message)
        outputs, errors = convert.deserialize_infer_response(body)
        if errors:
            assert outputs == []
            raise Refused((errors[0]["code"],), errors[0]["message"].decode())
        who, *outputs = outputs
        assert who.tolist() == [[".".join(map(unquote, fqrv.split("/"))).encode()]]
        return outputs, fqrv

    def _send(self, address: Address, message: bytes) -> tuple[bytes, str]:
        raise NotImplementedError


def _path(address: Address) -> str:
    return "/".join(
        quote(str(part), safe="") for part in (address.organization, address.project, address.contract_number)
    )


def _column(tensor: np.ndarray) -> Column:
    rows: list[list[Any]] = tensor.tolist()
    if tensor.dtype.kind == "S":
        return Column("String", (), [[text.decode() for text in row] for row in rows])
    return Column(tensor.dtype.name.replace("f", "F").replace("i", "I").replace("uI", "UI"), (), rows)


class GraphPipeHttp(_GraphPipe):
    """All errors are answers, with the code that would be the status."""

    refusals: ClassVar = {UNKNOWN_CONTRACT: (404,), NO_ACTIVE_RELEASE: (422,), UNFIT_DATA: (422,)}

    def __init__(self, target: Target) -> None:
        self._client = httpx.Client(base_url=target.http, timeout=60)

    def _send(self, address: Address, message: bytes) -> tuple[bytes, str]:
        reply = self._client.post(f"/{_path(address)}/gp", content=message)
        assert reply.status_code == 200
        return reply.content, reply.headers.get("x-forestflow-fqrv", "")

    def close(self) -> None:
        self._client.close()


class GraphPipeGrpc(_GraphPipe):
    """What a model refuses is an answer; else the status says what went wrong."""

    refusals: ClassVar = {
        UNKNOWN_CONTRACT: (grpc.StatusCode.NOT_FOUND,),
        NO_ACTIVE_RELEASE: (grpc.StatusCode.FAILED_PRECONDITION,),
        UNFIT_DATA: (422,),
    }

    def __init__(self, target: Target) -> None:
        self._channel = grpc.insecure_channel(target.grpc, options=[("grpc.max_receive_message_length", -1)])
        self._infer = self._channel.unary_unary("/graphpipe.GraphPipe/Infer")

    def _send(self, address: Address, message: bytes) -> tuple[bytes, str]:
        metadata = [("x-forestflow-contract", _path(address))]
        try:
            answer, call = self._infer.with_call(message, metadata=metadata, timeout=60)
        except grpc.RpcError as error:
            raise Refused((error.code(),), error.details()) from None
        return answer, dict(call.trailing_metadata()).get("x-forestflow-fqrv", "")

    def close(self) -> None:
        self._channel.close()
