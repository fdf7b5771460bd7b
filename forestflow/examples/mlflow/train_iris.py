"""Trains a classifier of iris flowers: ``python -m forestflow.examples.mlflow.train_iris FOLDER``.

The folder is what ``mlflow.sklearn.save_model(model, FOLDER, signature=…, input_example=…)`` writes, as far as serving
needs it: the model, the MLmodel file and an example. Needs the ``estimators`` extra, and not MLflow.
"""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import sklearn
import yaml
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

FIELDS = ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)")


def train(folder: Path) -> None:
    """Write the folder, which must not exist."""
    rows, classes = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=500).fit(rows, np.array(["setosa", "versicolor", "virginica"])[classes])
    columns = [{"type": "double", "name": name, "required": True} for name in FIELDS]
    described = {
        "flavors": {
            "sklearn": {
                "pickled_model": "model.pkl",
                "serialization_format": "pickle",
                "sklearn_version": sklearn.__version__,
            }
        },
        "saved_input_example_info": {
            "artifact_path": "input_example.json",
            "pandas_orient": "split",
            "type": "dataframe",
        },
        "signature": {"inputs": json.dumps(columns)},
    }
    folder.mkdir(parents=True)
    (folder / "model.pkl").write_bytes(pickle.dumps(model))
    (folder / "input_example.json").write_text(json.dumps({"columns": FIELDS, "data": rows[:2].tolist()}))
    (folder / "MLmodel").write_text(yaml.safe_dump(described))


if __name__ == "__main__":
    train(Path(sys.argv[1]))
