"""The Serve applications of :mod:`benchmarks.peers.ray_serve`, importable by Ray's workers.

No postponed annotations here: FastAPI reads them from classes that Ray has pickled.
"""

from fastapi import FastAPI, Request, Response
from ray import serve
from ray.serve import Application
from ray.serve.handle import DeploymentHandle

from benchmarks.peers.scoring import BasicScorer

_ingress_api = FastAPI()
_single_api = FastAPI()
_ROOMY = {"max_ongoing_requests": 100, "ray_actor_options": {"num_cpus": 1}}


@serve.deployment(**_ROOMY)
class Scorer:
    """Scores each request alone."""

    def __init__(self) -> None:
        self._scorer = BasicScorer()

    async def score(self, body: bytes) -> bytes:
        return self._scorer.score(body)


@serve.deployment(**_ROOMY)
class BatchedScorer:
    """Scores whatever requests wait, at once."""

    def __init__(self) -> None:
        self._scorer = BasicScorer()

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0)
    async def score(self, bodies: list[bytes]) -> list[bytes]:
        return self._scorer.score_many(bodies)


@serve.deployment(**_ROOMY)
@serve.ingress(_ingress_api)
class Ingress:
    """Passes bodies on, unparsed, to the scoring deployment."""

    def __init__(self, scorer: DeploymentHandle) -> None:
        self._scorer = scorer

    @_ingress_api.post("/score")
    async def score(self, request: Request) -> Response:
        answer = await self._scorer.score.remote(await request.body())
        return Response(answer, media_type="application/json")


@serve.deployment(**_ROOMY)
@serve.ingress(_single_api)
class Single:
    """Scores in the ingress itself."""

    def __init__(self) -> None:
        self._scorer = BasicScorer()

    @_single_api.post("/score")
    async def score(self, request: Request) -> Response:
        return Response(self._scorer.score(await request.body()), media_type="application/json")


def build(variant: str) -> Application:
    """The application of one variant."""
    if variant == "single":
        return Single.bind()
    return Ingress.bind(BatchedScorer.bind() if variant == "batched" else Scorer.bind())
