"""After a warm-up, a first request loads nothing. In a process of its own, where nothing is loaded yet."""

import subprocess
import sys

SCRIPT = """
import sys
import orjson
from forestflow.codecs import table
from forestflow.codecs.examples import INFERENCE_REQUEST
from forestflow.domain.ids import Contract, Fqrv

fqrv = Fqrv(Contract("o", "p", 0), "r")
if sys.argv[1] == "warm":
    table.warm_up(fqrv)
before = set(sys.modules)
codec = table.codec_for(table.BASIC, fqrv)
request = codec.decode(orjson.dumps(INFERENCE_REQUEST))
codec.encode(request.batch, request.context)
print(len(set(sys.modules) - before))
"""


def loaded_by_the_first_request(how):
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True, timeout=60)
    return int(done.stdout)


def test_the_first_request_loads_nothing():
    assert loaded_by_the_first_request("warm") == 0
    assert loaded_by_the_first_request("cold") > 0, "negative control"
