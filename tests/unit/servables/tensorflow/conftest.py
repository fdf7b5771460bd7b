"""Models made here, with a seed, by TensorFlow itself; one TensorFlow for all tests of the process."""

import numpy as np
import pytest

from forestflow.domain.requests import SIGNATURE_KEY, TensorFlow
from forestflow.domain.settings import Resources
from forestflow.domain.tensors import DTYPES, Batch, Column, Layout, TensorType
from forestflow.servables import loading


@pytest.fixture(scope="session")
def tf():
    from forestflow.servables.tensorflow.process import prepare

    prepare(Resources(threads=1))
    import tensorflow

    tensorflow.random.set_seed(7)
    return tensorflow


@pytest.fixture
def load(tmp_path):
    """A servable of the model that was saved at ``tmp_path``, or below it."""

    def loaded(name=".", signature=None, tags=(), warm=False):
        flavor = TensorFlow(name, signature, tuple(tags))
        path = tmp_path / loading.artifact_path(flavor)
        loading.check(path, flavor)
        servable = loading.load(path, flavor, Resources())
        if warm:
            servable.warm_up()
        return servable

    return loaded


def column(kind, fields, values):
    kind = TensorType[kind]
    return Column(kind, (fields,) if isinstance(fields, str) else tuple(fields), np.array(values, dtype=DTYPES[kind]))


def records(*columns):
    return Batch(len(columns[0].data), columns)


def tensors(*columns):
    return Batch(len(columns[0].data), columns, Layout.TENSORS)


def whole(*columns):
    return Batch(1, tuple(Column(c.type, c.fields, c.data[None]) for c in columns), Layout.WHOLE)


def answers(servable, batch, signature=None, **configs):
    configs = {**configs, **({SIGNATURE_KEY: signature} if signature else {})}
    return {c.fields[0]: c for c in servable.predict(batch, configs).columns}
