"""``.keras`` files through the servable, equal to what Keras itself predicts."""

import numpy as np
import pytest

from forestflow.domain.errors import InvalidInput, LoadFailed
from forestflow.domain.tensors import IOMetadata, TensorType
from tests.unit.servables.tensorflow.conftest import answers, column, records, tensors

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")]


@pytest.fixture(scope="module")
def keras(tf):
    import keras

    keras.utils.set_random_seed(11)
    return keras


def test_a_sequential_model(keras, tmp_path, load):
    model = keras.Sequential(
        [keras.Input((4,), name="x"), keras.layers.Dropout(0.5), keras.layers.Dense(3, name="out")]
    )
    model.save(tmp_path / "m.keras")
    servable = load("m.keras", warm=True)
    rows = np.random.default_rng(3).normal(size=(5, 4)).astype(np.float32)
    expected = model.predict(rows, verbose=0)
    (found,) = answers(servable, tensors(column("Float32", "", rows))).values()
    assert found.fields == ("out",)
    assert found.data.dtype == expected.dtype
    np.testing.assert_allclose(found.data, expected, rtol=1e-6)
    assert servable.metadata.inputs == (IOMetadata("x", TensorType.Float32, (4,)),)
    assert servable.merge_key({}) is not None
    assert servable.independence()["serving_default"].shown
    with pytest.raises(InvalidInput, match=r"input 'x' takes Float32 of shape \[-1, 4\]"):
        servable.predict(records(column("Float32", "x", [[1.0]])), {})


def test_several_inputs_and_outputs(keras, tmp_path, load):
    size, word = keras.Input((2,), name="size"), keras.Input((), dtype="int64", name="word")
    joined = keras.layers.Concatenate()([size, keras.layers.Embedding(10, 2)(word)])
    outputs = [keras.layers.Dense(1, name="price")(joined), keras.layers.Dense(2, name="kind")(joined)]
    keras.Model([size, word], outputs).save(tmp_path / "listed.keras")
    model = keras.Model({"size": size, "word": word}, {"p": outputs[0], "k": outputs[1]})
    model.save(tmp_path / "keyed.keras")
    sizes, words = np.array([[1, 2], [3, 4]], np.float32), np.array([3, 9])
    expected = model.predict({"size": sizes, "word": words}, verbose=0)
    for name, (p, k) in (("listed", ("price", "kind")), ("keyed", "pk")):
        batch = records(column("Int64", "word", words[:, None]), column("Float64", "size", sizes))
        found = answers(load(f"{name}.keras"), batch)
        np.testing.assert_allclose(found[p].data, expected["p"], rtol=1e-6)
        np.testing.assert_allclose(found[k].data, expected["k"], rtol=1e-6)


def test_code_within_a_file_is_not_run(keras, tmp_path, load):
    keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: x + 1)]).save(tmp_path / "m.keras")
    with pytest.raises(LoadFailed, match=r"m.keras cannot be loaded: .*unsafe"):
        load("m.keras")


def test_models_that_do_not_say_what_they_take(keras, tmp_path, load):
    @keras.saving.register_keras_serializable("tests")
    class Own(keras.Model):
        def call(self, x):
            return x

    model = Own()
    model(np.zeros((1, 1)))
    model.save(tmp_path / "m.keras")
    with pytest.raises(LoadFailed, match=r"m.keras .*model.export"):
        load("m.keras")


def test_damaged_files(keras, tmp_path, load):
    keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).save(tmp_path / "m.keras")
    import zipfile

    with zipfile.ZipFile(tmp_path / "m.keras") as whole, zipfile.ZipFile(tmp_path / "cut.keras", "w") as cut:
        for entry in whole.namelist():
            if "weights" not in entry:
                cut.writestr(entry, whole.read(entry))
    with pytest.raises(LoadFailed, match=r"cut.keras cannot be loaded: "):
        load("cut.keras")
    with pytest.raises(LoadFailed, match="no signature 'other'; it has 'serving_default'"):
        load("m.keras", signature="other")
