"""The BentoML service: one API method, one worker, no access log; loaded by ``bentoml serve`` from the model's folder.

The settings are the fastest of those tried: an ``async`` method (no hop to a thread), a model as the answer (BentoML
derives a JSON schema at every answer that is a bare list), and a frozen heap (no long collector pauses).
"""

import gc
import os

import bentoml
import joblib
import numpy as np
from pydantic import BaseModel


class Labels(BaseModel):
    """One class label a row."""

    labels: list[int]


@bentoml.service(
    workers=1,
    traffic={"timeout": 30, "max_concurrency": 256},
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class Iris:
    """Class labels of rows of four measurements."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["IRIS_MODEL"])
        gc.collect()
        gc.freeze()

    @bentoml.api(route="/predict")
    async def predict(self, rows: list[list[float]]) -> Labels:
        """Label every row."""
        return Labels(labels=self.model.predict(np.asarray(rows)).tolist())
