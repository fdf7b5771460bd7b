"""After a warm-up the first request of each protocol loads nothing; tried in processes of their own."""

import subprocess
import sys

import numpy as np
import pytest
from graphpipe import convert

from forestflow.codecs import rehearsal, table
from forestflow.codecs.control.examples import INFERENCE_REQUEST
from forestflow.codecs.graphpipe import writer as graphpipe_writer
from forestflow.codecs.graphpipe.reader import read_infer
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.tensors import Column, TensorType

FQRV = Fqrv(Contract("o", "p", 0), "r")
ROWS = [datum["tensors"][0]["Float64"]["data"] for datum in INFERENCE_REQUEST["datum"]]
NAMES = {number: example.partition(":")[2] for number, example in table._EXAMPLES.items()}

SCRIPT = """
import sys
from forestflow.codecs import rehearsal, table
from forestflow.domain.ids import Contract, Fqrv

how, number, name = sys.argv[1:]
fqrv = Fqrv(Contract("o", "p", 0), "r")
if how == "warm":
    table.warm_up(fqrv)
before = set(sys.modules)
codec = table.codec_for(int(number), fqrv)
request = codec.decode(getattr(rehearsal, name)())
codec.encode(request.batch, request.context)
print(len(set(sys.modules) - before))
"""


def loaded_by_the_first_request(how: str, number: int) -> int:
    command = [sys.executable, "-c", SCRIPT, how, str(number), NAMES[number]]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


@pytest.mark.parametrize("number", table.CODECS)
def test_the_first_request_loads_nothing(number):
    assert loaded_by_the_first_request("warm", number) == 0
    assert loaded_by_the_first_request("cold", number) > 0, "negative control"


@pytest.mark.parametrize("number", table.CODECS)
def test_every_protocol_is_tried_with_the_same_rows(number):
    (column,) = table.codec_for(number, FQRV).decode(getattr(rehearsal, NAMES[number])()).batch.columns
    assert (column.type, column.data.tolist()) == (TensorType.Float64, ROWS)


def test_a_graphpipe_request_is_one_for_the_public_client():
    written = graphpipe_writer.infer_request([column_of("a", [[1.5, 2.5]]), column_of("b", [[3.5], [4.5]])])
    theirs = convert.deserialize_request(written)
    assert [tensor.tolist() for tensor in theirs.input_tensors] == [[[1.5, 2.5]], [[3.5], [4.5]]]
    assert read_infer(written).input_names == ("a", "b")


def column_of(name, data):
    return Column(TensorType.Float64, (name,), np.array(data))
