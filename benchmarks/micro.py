"""Cost per call of the pieces of a request, without a network: ``python -m benchmarks.micro``.

Decoding, prediction and encoding are the real functions on the payloads of the benchmark. Best of five samples, because
anything else that the machine does can only make a sample longer.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable

from benchmarks import payloads
from forestflow.codecs.basic.codec import PredictionEncoder, decode_request
from forestflow.domain.ids import Contract, Fqrv
from forestflow.domain.requests import H2OMojo
from forestflow.domain.settings import Resources
from forestflow.servables.loading import load

_SAMPLES = 5
_SAMPLE_SECONDS = 0.4


def per_call(call: Callable[[], object]) -> float:
    """Seconds a call takes."""
    timer = timeit.Timer(call)
    timer.timeit(1)
    number = 1
    while (once := timer.timeit(number)) < _SAMPLE_SECONDS / 4:
        number *= 4
    number = max(1, round(number * _SAMPLE_SECONDS / once))
    return min(timer.repeat(_SAMPLES, number)) / number


def main() -> None:
    """Print a line per piece and size."""
    servable = load(payloads.MODELS / payloads.MOJO, H2OMojo(payloads.MOJO), Resources())
    servable.warm_up()
    address = payloads.Address()
    contract = Contract(address.organization, address.project, address.contract_number)
    encode = PredictionEncoder(Fqrv(contract, address.release_version)).encode
    print(f"{'piece':<8} {'rows':>7} {'µs a call':>12} {'µs a row':>10}")
    for body in (payloads.two_rows(), payloads.batch()):
        request = decode_request(body)
        answer = servable.predict(request.batch, request.configs)
        pieces: dict[str, Callable[[], object]] = {
            "decode": lambda body=body: decode_request(body),  # type: ignore[misc]
            "predict": lambda request=request: servable.predict(request.batch, request.configs),  # type: ignore[misc]
            "encode": lambda answer=answer: encode(answer),  # type: ignore[misc]
        }
        for name, call in pieces.items():
            seconds = per_call(call)
            rows = request.batch.rows
            print(f"{name:<8} {rows:>7,} {seconds * 1e6:>12,.2f} {seconds * 1e6 / rows:>10.3f}")
    servable.close()


if __name__ == "__main__":
    main()
