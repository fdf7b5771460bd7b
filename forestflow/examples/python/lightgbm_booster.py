"""A LightGBM model with columns of different types, one of them categorical: answers the probability.

Beside this script lie ``model.txt``, written by ``booster.save_model("model.txt")``, and ``levels.json``, the list of
the categories in the order in which they were numbered for training.
"""

from __future__ import annotations

import json
import os

import lightgbm
import numpy as np

from forestflow.serving import BadInput


class Predict:
    inputs = "columns"  # an array for each field, by name
    batched = True

    def __init__(self):
        self.booster = lightgbm.Booster(model_file=os.path.join(self.path, "model.txt"))
        with open(os.path.join(self.path, "levels.json")) as file:
            self.levels = {level: float(number) for number, level in enumerate(json.load(file))}
        self.metadata = {
            "inputs": [
                {"name": "age", "type": "Int64"},
                {"name": "income", "type": "Float64"},
                {"name": "city", "type": "String", "description": "the empty string where it is not known"},
            ],
            "outputs": [{"name": "probability", "type": "Float64"}],
        }
        self.example = {"age": np.array([30]), "income": np.array([1000.0]), "city": np.array([""], object)}

    def predict(self, inputs):
        missing = {"age", "income", "city"} - inputs.keys()
        if missing:
            raise BadInput(f"{', '.join(sorted(missing))} missing")
        city = [self.levels.get(name, np.nan) for name in inputs["city"]]
        return self.booster.predict(np.column_stack([inputs["age"], inputs["income"], city]), num_threads=1)
