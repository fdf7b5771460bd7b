"""Train a small Keras classifier of made-up 28×28 pictures and save it in both forms that ForestFlow serves.

``python -m forestflow.examples.tensorflow.mlp DIRECTORY`` writes ``DIRECTORY/saved_model`` and ``DIRECTORY/mlp.keras``:
784 numbers ``pixels`` in, ten ``probabilities`` out. Deploy one with the flavor
``{"TensorFlow": {"modelPath": "saved_model"}}`` or ``{"TensorFlow": {"modelPath": "mlp.keras"}}``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

PIXELS, HIDDEN, CLASSES = 784, 128, 10


def pictures(rows: int, seed: int = 17) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Ten blurred blots, each at a place of its own, with noise: shape (rows, 784), in 0..1, and which blot it is."""
    dice = np.random.default_rng(seed)
    kinds = dice.integers(0, CLASSES, rows)
    y, x = np.mgrid[0:28, 0:28]
    across, down = 4 + 5 * (kinds % 5), 8 + 12 * (kinds // 5)
    distances = (x - across[:, None, None]) ** 2 + (y - down[:, None, None]) ** 2
    blots = np.exp(-distances / 18) + dice.normal(0, 0.05, (rows, 28, 28))
    return np.clip(blots, 0, 1).astype(np.float32).reshape(rows, PIXELS), kinds


def train() -> keras.Model:
    """The classifier, the same one every time on one machine."""
    import keras

    keras.utils.set_random_seed(17)
    model = keras.Sequential(
        [
            keras.Input((PIXELS,), name="pixels"),
            keras.layers.Dense(HIDDEN, activation="relu"),
            keras.layers.Dense(CLASSES, activation="softmax", name="probabilities"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(*pictures(2_000), epochs=3, verbose=0)
    return model


def save(model: keras.Model, directory: Path) -> None:
    """Write ``saved_model`` and ``mlp.keras`` below ``directory``."""
    import tensorflow as tf

    directory.mkdir(parents=True, exist_ok=True)
    model.save(directory / "mlp.keras")

    @tf.function(input_signature=[tf.TensorSpec([None, PIXELS], tf.float32, name="pixels")])
    def serve(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": model(pixels, training=False)}

    tf.saved_model.save(model, str(directory / "saved_model"), signatures={"serving_default": serve})


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    model = train()
    _, accuracy = model.evaluate(*pictures(500, seed=18), verbose=0)
    save(model, directory)
    print(f"{directory}/saved_model and {directory}/mlp.keras: right for {accuracy:.0%} of new pictures")


if __name__ == "__main__":
    main()
