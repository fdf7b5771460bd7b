"""SavedModels as TensorFlow 1 wrote them: sessions, tags, classify and regress over tf.Example, lookup tables."""

import numpy as np
import pytest

from forestflow.domain.errors import InvalidInput, LoadFailed
from forestflow.domain.tensors import IOMetadata, TensorType
from tests.unit.servables.tensorflow.conftest import answers, column, records, tensors, whole

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:.*is deprecated:FutureWarning")]

LABELS = ["setosa", "virginica"]


@pytest.fixture
def classifier(tf, tmp_path):
    """y = 2·a + sum(b) + (1 if kind is "x"), as predict, classify and regress; also a MetaGraph for training."""
    v1 = tf.compat.v1
    builder = v1.saved_model.Builder(str(tmp_path))
    with v1.Graph().as_default(), v1.Session() as session:
        serialized = v1.placeholder(tf.string, [None], name="examples")
        features = v1.parse_example(
            serialized,
            {
                "a": tf.io.FixedLenFeature([], tf.float32),
                "b": tf.io.FixedLenFeature([2], tf.int64, [0, 0]),
                "kind": tf.io.FixedLenFeature([], tf.string, ""),
            },
        )
        weight = v1.get_variable("weight", initializer=2.0)
        extra = tf.cast(tf.equal(features["kind"], "x"), tf.float32)
        y = features["a"] * weight + tf.cast(tf.reduce_sum(features["b"], axis=1), tf.float32) + extra
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant([0, 1], tf.int64), tf.constant(LABELS)), "?"
        )
        label = tf.reshape(table.lookup(tf.cast(y > 5, tf.int64)), [-1, 1])
        z, sparse = v1.placeholder(tf.float32, [None]), v1.sparse_placeholder(tf.float32, [None, 3])
        info = v1.saved_model.build_tensor_info
        build = v1.saved_model.signature_def_utils
        signatures = {
            "serving_default": build.classification_signature_def(serialized, label, tf.reshape(y, [-1, 1])),
            "regression": build.regression_signature_def(serialized, y),
            "predict": build.build_signature_def(
                {"examples": info(serialized)}, {"y": info(y)}, "tensorflow/serving/predict"
            ),
            "raw": build.build_signature_def({"z in": info(z)}, {"z out": info(z + 1)}, "custom/method"),
            "sparse": build.build_signature_def(
                {"s": info(sparse)}, {"sum": info(v1.sparse_reduce_sum(sparse, 1))}, "tensorflow/serving/predict"
            ),
        }
        session.run([v1.global_variables_initializer(), v1.tables_initializer()])
        builder.add_meta_graph_and_variables(
            session, ["serve"], signatures, main_op=v1.tables_initializer(), strip_default_attrs=True
        )
        builder.add_meta_graph(["train"], {"regression": signatures["regression"]})
    builder.save()


def example(tf, a, b=(0, 0), kind=""):
    feature = {
        "a": tf.train.Feature(float_list=tf.train.FloatList(value=[a])),
        "b": tf.train.Feature(int64_list=tf.train.Int64List(value=b)),
        "kind": tf.train.Feature(bytes_list=tf.train.BytesList(value=[kind.encode()])),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def test_serialized_examples(tf, classifier, tmp_path, load):
    own = tf.saved_model.load(str(tmp_path), tags=["serve"]).signatures
    servable = load(warm=True)
    serialized = [example(tf, 1.5), example(tf, 2, (1, 2), "x")]
    for batch in (
        records(column("Bytes", "inputs", [[each] for each in serialized])),
        tensors(column("Bytes", "", serialized)),
    ):
        found = answers(servable, batch)
        expected = own["serving_default"](inputs=tf.constant(serialized))
        assert found["classes"].type is TensorType.String
        assert found["classes"].data.tolist() == [[label.decode()] for [label] in expected["classes"].numpy()]
        assert found["classes"].data.tolist() == [["setosa"], ["virginica"]]
        assert found["scores"].data.tolist() == expected["scores"].numpy().tolist() == [[3], [8]]
        found = answers(servable, batch, "regression")
        assert found["outputs"].data.tolist() == [3, 8]


def test_features_become_examples(tf, classifier, load):
    servable = load()
    a, b = column("Float64", "a", [[1.5], [2]]), column("Int32", "b", [[0, 0], [1, 2]])
    kind = column("String", "kind", [["y"], ["x"]])
    assert answers(servable, records(a, b, kind))["scores"].data.tolist() == [[3], [8]]
    assert answers(servable, tensors(a, b, kind), "regression")["outputs"].data.tolist() == [3, 8]
    assert answers(servable, records(a), "regression")["outputs"].data.tolist() == [3, 4]
    several = column("Float32", ["a", "unknown"], [[1.5, 7]])
    assert answers(servable, records(several), "regression")["outputs"].data.tolist() == [3]
    with pytest.raises(InvalidInput, match=r"the model refuses the inputs: .*Feature: a"):
        answers(servable, records(b))
    with pytest.raises(InvalidInput, match="feature 'b' takes integers up to 9223372036854775807"):
        answers(servable, records(a, column("UInt64", "b", [[2**63, 0], [0, 0]])))
    with pytest.raises(InvalidInput, match="different numbers of rows"):
        answers(servable, whole(a))
    # a predict signature takes what it declares
    with pytest.raises(InvalidInput, match="there is no input 'a'; signature 'predict' takes 'examples'"):
        answers(servable, records(a), "predict")


def test_metadata_tells_each_signatures_method(tf, classifier, load):
    metadata = load().metadata
    methods = {name: signature.method for name, signature in metadata.signatures.items()}
    assert methods == {
        "serving_default": "classify", "regression": "regress", "predict": "predict", "raw": "custom/method"
    }  # fmt: skip
    assert metadata.inputs == (IOMetadata("inputs", TensorType.String),)
    assert metadata.signatures["raw"].inputs == (IOMetadata("z in", TensorType.Float32),)


def test_names_that_are_no_identifiers(tf, classifier, load):
    found = answers(load(), records(column("Float32", "z in", [[1], [2]])), "raw")
    assert found["z out"].data.tolist() == [2, 3]


def test_sparse_inputs_cannot_be_served(tf, classifier, load):
    with pytest.raises(LoadFailed, match="signature 'sparse' cannot be served: tensor 's' is sparse"):
        load(signature="sparse")


def test_tags_choose_the_graph(tf, classifier, load):
    assert set(load(tags=["train"]).metadata.signatures) == {"regression"}
    with pytest.raises(LoadFailed, match=r"no MetaGraph with the tags gpu serve; .* are tagged: serve; train"):
        load(tags=["serve", "gpu"])


def write_warm_up(tf, path, *logs):
    (path / "assets.extra").mkdir()
    with tf.io.TFRecordWriter(str(path / "assets.extra" / "tf_serving_warmup_requests")) as file:
        for log in logs:
            file.write(log.SerializeToString())


def test_warm_up_requests_of_the_model_are_run(tf, classifier, tmp_path, load, monkeypatch):
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    classify = PredictionLog()
    classify.classify_log.request.input.example_list.examples.add().ParseFromString(example(tf, 1))
    predict = PredictionLog()
    predict.predict_log.request.model_spec.signature_name = "predict"
    predict.predict_log.request.inputs["examples"].CopyFrom(tf.make_tensor_proto([example(tf, 1), example(tf, 2)]))
    multi = PredictionLog()
    multi.multi_inference_log.SetInParent()
    write_warm_up(tf, tmp_path, classify, predict, multi)
    servable = load()
    calls = []
    call = type(servable).predict

    def predict_and_note(self, batch, configs):
        answer = call(self, batch, configs)
        calls.append((configs.get("forestflow.signature"), batch.rows, batch.columns[0].data[0]))
        return answer

    monkeypatch.setattr(type(servable), "predict", predict_and_note)
    servable.warm_up()
    assert calls[:2] == [("serving_default", 1, example(tf, 1)), ("predict", 2, example(tf, 1))]
    assert max(rows for _, rows, _ in calls) >= 64
    assert servable.slice_rows > 1


def test_warm_up_requests_show_what_nobody_can_make_up(tf, classifier, tmp_path, load):
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    found = load(warm=True).independence()
    assert {name: one.shown for name, one in found.items()} == {
        "serving_default": False, "regression": False, "predict": False, "raw": True,
    }  # fmt: skip
    assert "refuses made-up inputs" in found["predict"].reason
    log = PredictionLog()
    log.predict_log.request.model_spec.signature_name = "predict"
    log.predict_log.request.inputs["examples"].CopyFrom(tf.make_tensor_proto([example(tf, 1), example(tf, 2)]))
    write_warm_up(tf, tmp_path, log)
    found = load(warm=True).independence()
    assert found["predict"].shown
    assert not found["regression"].shown


@pytest.mark.parametrize("harm", ["damaged", "fails", "unknown signature"])
def test_warm_up_requests_that_fail_fail_the_load(tf, classifier, tmp_path, load, harm):
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    log = PredictionLog()
    log.predict_log.request.model_spec.signature_name = "predict" if harm != "unknown signature" else "nope"
    log.predict_log.request.inputs["examples"].CopyFrom(tf.make_tensor_proto([b"no example"]))
    write_warm_up(tf, tmp_path, log)
    if harm == "damaged":
        (tmp_path / "assets.extra" / "tf_serving_warmup_requests").write_bytes(b"not records at all")
    message = {
        "damaged": "tf_serving_warmup_requests is damaged",
        "fails": "request 0 of .* fails: the model refuses the inputs",
        "unknown signature": "request 0 of .* 'nope', which there is not",
    }[harm]
    with pytest.raises(LoadFailed, match=message):
        load(warm=True)


def test_numbers_are_those_of_a_session(tf, tmp_path, load):
    v1 = tf.compat.v1
    rows = np.random.default_rng(5).normal(size=(7, 3)).astype(np.float32)
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 3])
        w = v1.get_variable("w", initializer=tf.random.stateless_normal([3, 2], seed=[3, 4]))
        y = tf.nn.softmax(x @ w)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(tmp_path / "1"), {"x": x}, {"y": y})
        expected = session.run(y, {x: rows})
    found = answers(load("1"), records(column("Float32", "x", rows)))["y"]
    assert found.data.dtype == expected.dtype
    assert np.array_equal(found.data, expected)
