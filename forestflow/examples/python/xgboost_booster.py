"""An XGBoost model: ``regress``, which is also ``predict``, answers its value.

Beside this script lies ``model.json``, written by ``booster.save_model("model.json")``.
"""

from __future__ import annotations

import os

import numpy as np
import xgboost

from forestflow.serving import BadInput


class Predict:
    inputs = "numpy"
    batched = True

    def __init__(self):
        self.booster = xgboost.Booster({"nthread": 1}, model_file=os.path.join(self.path, "model.json"))
        self.example = np.zeros((1, self.booster.num_features()), np.float32)

    def regress(self, inputs):
        if not isinstance(inputs, np.ndarray) or inputs.shape[1] != self.booster.num_features():
            raise BadInput(f"expected {self.booster.num_features()} numbers of one type for each record")
        return self.booster.inplace_predict(inputs)

    predict = regress
