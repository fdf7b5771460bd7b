"""TensorFlow as one replica's process uses it: the replica's threads, a GPU only where one is reserved, few words."""

from __future__ import annotations

import logging
import os

from forestflow.domain.settings import Resources

_log = logging.getLogger("forestflow.tensorflow")


def prepare(resources: Resources) -> None:
    """Import TensorFlow and set it up. What is set counts for the process, so the first model decides."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    import tensorflow as tf

    threads = resources.compute_threads
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        gpus = tf.config.list_physical_devices("GPU")
        if gpus and not resources.gpu:
            tf.config.set_visible_devices([], "GPU")
        for gpu in gpus if resources.gpu else ():
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:  # it has started
        running = tf.config.threading.get_intra_op_parallelism_threads()
        if running != threads:
            _log.warning("TensorFlow runs in this process already, with %d threads; %d were asked", running, threads)
