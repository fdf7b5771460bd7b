"""Any ONNX model by ONNX Runtime, with code of one's own around it: the flavor ``ONNX`` serves one without a script.

Beside this script lies ``model.onnx``. Its one input is of shape (records, fields).
"""

from __future__ import annotations

import os

import numpy as np
import onnxruntime


class Predict:
    inputs = "numpy"
    batched = True

    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.path.join(self.path, "model.onnx"), options)
        (self.input,) = self.session.get_inputs()
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.example = np.zeros((1, self.input.shape[1]), np.float32)

    def predict(self, inputs):
        answers = self.session.run(self.outputs, {self.input.name: np.asarray(inputs, np.float32)})
        return dict(zip(self.outputs, answers, strict=True))
