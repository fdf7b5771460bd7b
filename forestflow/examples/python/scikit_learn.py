"""A scikit-learn classifier: ``predict`` answers its label, ``classify`` the probability of each class.

Beside this script lies ``model.joblib``, written by ``joblib.dump(model, "model.joblib")``.
"""

from __future__ import annotations

import os

import joblib
import numpy as np


class Predict:
    inputs = "numpy"  # one array of shape (records, fields)
    batched = True  # each record by itself: requests may run together

    def __init__(self):
        self.model = joblib.load(os.path.join(self.path, "model.joblib"))
        self.example = np.zeros((1, self.model.n_features_in_))

    def predict(self, inputs):
        return self.model.predict(inputs)

    def classify(self, inputs):
        probabilities = self.model.predict_proba(inputs)
        return {str(label): probabilities[:, i] for i, label in enumerate(self.model.classes_)}
