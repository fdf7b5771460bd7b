"""Trains one tiny model of everything H2O can export, on a cluster of its own, and keeps the cluster's own answers.

The cluster is a process apart from the JVM that serves in the test process. It listens on loopback and is stopped as
soon as everything is trained.
"""

from __future__ import annotations

import contextlib
import csv
import socket
import uuid
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROWS = 500
TEST_ROWS = 24
CAT = ["red", "green", "blue", "a,b; ü"]
GRADE = ["grade.low", "grade.mid", "grade.high"]  # levels that carry their column's name
CODE = ["1", "2", "10", "30"]  # levels that look like numbers
CITY = [f"city{i}" for i in range(14)]  # more than the ten levels that enum_limited leaves
TOWN = [f"town {i}" for i in range(90)]  # a set of them takes several words
ENUMS = {"cat": CAT, "grade": GRADE, "code": CODE, "city": CITY}
FEATURES = ["x1", "cat", "x2", "grade", "code", "x3", "city"]
TYPES = {name: "enum" if name in ENUMS else "numeric" for name in FEATURES}


@dataclass
class Case:
    """One model: its archive, rows to score (``None`` is missing) and the cluster's predictions, column by column."""

    name: str
    category: str
    mojo: Path
    rows: dict[str, list[Any]]
    types: dict[str, str]
    expected: dict[str, list[Any]] = field(default_factory=dict)


def make_rows(rows: int, seed: int) -> dict[str, list[Any]]:
    """Features, some missing, and a response of every kind that depends on them."""
    random = np.random.default_rng(seed)
    x1, x2, x3 = random.normal(0, 1, rows), random.uniform(-5, 5, rows), random.gamma(2, 2, rows)
    levels = {name: random.integers(0, len(domain), rows) for name, domain in ENUMS.items()}
    z = x1 + 0.4 * x2 + 0.8 * levels["cat"] - 0.7 * levels["grade"] + 0.3 * levels["code"] - 0.2 * x3
    z = z + 0.1 * np.minimum(levels["city"], 7)
    z = z + random.normal(0, 0.5, rows)
    ranks = np.searchsorted(np.quantile(z, [0.33, 0.66]), z)
    treated = random.integers(0, 2, rows)
    columns: dict[str, list[Any]] = {"x1": x1.tolist(), "x2": x2.tolist(), "x3": x3.tolist()}
    columns |= {name: [domain[i] for i in levels[name]] for name, domain in ENUMS.items()}
    for name in FEATURES:
        for i in random.choice(rows, rows // 20, replace=False):
            columns[name][i] = None
    columns |= {
        "y": (10 + 3 * z).tolist(),
        "count": random.poisson(np.exp(z / 4)).tolist(),
        "yb": np.where(z > np.median(z), "yes", "no").tolist(),
        "y01": (z > np.median(z)).astype(int).tolist(),
        "ym": np.array(["dog", "cat", "7"])[ranks].tolist(),
        "yo": np.array(["o1", "o2", "o3"])[ranks].tolist(),
        "off": random.normal(0, 0.3, rows).tolist(),
        "treatment": np.array(["control", "treated"])[treated].tolist(),
        "yu": np.where(z + treated > np.median(z), "1", "0").tolist(),
        "stop": random.exponential(np.exp(-z / 8)).tolist(),
        "event": random.integers(0, 2, rows).tolist(),
    }
    towns = random.integers(0, len(TOWN), rows)
    columns["town"] = [TOWN[i] if random.random() > 0.1 else None for i in towns]
    columns["tax"] = (np.sin(7.0 * towns) + 0.2 * x1 + random.normal(0, 0.1, rows)).tolist()
    return columns


_EXTRA_TYPES = {
    "y": "numeric", "count": "numeric", "yb": "enum", "y01": "numeric", "ym": "enum", "yo": "enum", "off": "numeric",
    "treatment": "enum", "yu": "enum", "stop": "numeric", "event": "numeric", "town": "enum", "tax": "numeric",
}  # fmt: skip


@contextlib.contextmanager
def cluster() -> Iterator[Any]:
    """A cluster of two threads on loopback, with the ``h2o`` module connected to it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the h2o client leaves sockets and temporary files to the collector
        import h2o
        from h2o.utils.progressbar import ProgressBar

        from forestflow.examples.train_h2o import ensure_java

        ensure_java()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1] & ~1
        h2o.init(
            ip="127.0.0.1", port=port, name=f"ff-{uuid.uuid4().hex[:8]}", bind_to_localhost=True, nthreads=2,
            max_mem_size="2g", strict_version_check=False, verbose=False,
            jvm_custom_args=["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"],  # no model lives long enough for more
        )  # fmt: skip
        h2o.no_progress()
        # The client asks for a job's end every 0.2 s at best, and lets a hidden bar glide to it; ours take less.
        ProgressBar.MIN_PROGRESS_CHECK_INTERVAL = ProgressBar.MAX_PROGRESS_CHECK_INTERVAL = 0.02
        ProgressBar.FINISH_DELAY = 0.01
        try:
            yield h2o
        finally:
            h2o.cluster().shutdown()


def train_all(folder: Path) -> dict[str, Case]:
    """Train, export and predict. A model that H2O does not export here is a failure, not a skip."""
    with cluster() as h2o:
        return _Trainer(h2o, folder).all()


class _Trainer:
    def __init__(self, h2o: Any, folder: Path) -> None:
        self.h2o = h2o
        self.folder = folder
        self.cases: dict[str, Case] = {}
        self.types = TYPES | _EXTRA_TYPES
        self.frame = self.upload(make_rows(ROWS, 1), self.types)
        self.rows = make_rows(TEST_ROWS, 2)
        self.test = self.upload(self.rows, self.types)

    def upload(self, columns: dict[str, list[Any]], types: dict[str, str]) -> Any:
        """A frame through a CSV file, in which a missing level is NA; ``H2OFrame`` makes it the level ""."""
        path = self.folder / "upload.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            for row in zip(*columns.values(), strict=True):
                writer.writerow(["NA" if cell is None else cell for cell in row])
        types = {name: types[name] for name in columns}
        return self.h2o.upload_file(str(path), header=1, col_types=types, na_strings=["NA"])

    def all(self) -> dict[str, Case]:
        self.trees()
        self.encodings()
        self.linear()
        self.deep()
        self.unsupervised()
        self.others()
        return self.cases

    def add(
        self, name: str, model: Any, y: str | None = None, x: list[str] | None = None, special: tuple[str, ...] = ()
    ) -> None:
        """Train ``model``, export it and keep the cluster's answers to the test rows.

        ``special`` are columns that the model was told of when it was made (offset, treatment).
        """
        features = x or FEATURES
        model.train(x=features, training_frame=self.frame, **({"y": y} if y else {}))
        self.export(name, model, [*features, *special])

    def export(self, name: str, model: Any, columns: list[str], expected: bool = True) -> None:
        path = Path(model.download_mojo(str(self.folder / f"{name}.zip")))
        columns = list(dict.fromkeys(columns))
        case = Case(
            name, str(model._model_json["output"]["model_category"]), path,
            {c: self.rows[c] for c in columns}, {c: self.types[c] for c in columns},
        )  # fmt: skip
        if expected:
            case.expected = self.answers(model.predict(self.test))
        self.cases[name] = case

    def answers(self, frame: Any) -> dict[str, list[Any]]:
        header, *lines = frame.as_data_frame(use_pandas=False)
        return {name: [line[i] if line else "" for line in lines] for i, name in enumerate(header)}

    def trees(self) -> None:
        from h2o.estimators import (
            H2OExtendedIsolationForestEstimator,
            H2OGradientBoostingEstimator,
            H2OIsolationForestEstimator,
            H2ORandomForestEstimator,
            H2OUpliftRandomForestEstimator,
            H2OXGBoostEstimator,
        )

        small = {"ntrees": 6, "max_depth": 4, "seed": 1, "min_rows": 5}
        gbm: Callable[..., Any] = lambda **more: H2OGradientBoostingEstimator(**small, **more)  # noqa: E731
        drf: Callable[..., Any] = lambda **more: H2ORandomForestEstimator(**small, **more)  # noqa: E731
        xgb: Callable[..., Any] = lambda **more: H2OXGBoostEstimator(**small, **more)  # noqa: E731
        self.add("gbm_regression", gbm(), "y")
        self.add("gbm_binomial", gbm(), "yb")
        self.add("gbm_multinomial", gbm(), "ym")
        self.add("gbm_poisson_offset", gbm(distribution="poisson", offset_column="off"), "count", special=("off",))
        self.add("gbm_binomial_offset", gbm(distribution="bernoulli", offset_column="off"), "yb", special=("off",))
        self.add("gbm_quasibinomial", gbm(distribution="quasibinomial"), "y01")
        self.add("gbm_balanced", gbm(balance_classes=True, class_sampling_factors=[1.0, 0.5, 1.0]), "ym")
        calibrated = {"calibrate_model": True, "calibration_frame": self.frame}
        self.add("gbm_platt", gbm(**calibrated), "yb")
        self.add("gbm_isotonic", gbm(**calibrated, calibration_method="IsotonicRegression"), "yb")
        self.add("drf_regression", drf(), "y")
        self.add("drf_binomial", drf(), "yb")
        self.add("drf_double_trees", drf(binomial_double_trees=True), "yb")
        deep = H2ORandomForestEstimator(ntrees=11, max_depth=20, min_rows=1, nbins_cats=128, seed=1)
        self.add("drf_many_levels", deep, "tax", ["x1", "town", "x2"])
        self.add("xgb_regression", xgb(), "y")
        self.add("xgb_binomial", xgb(), "yb")
        self.add("xgb_multinomial", xgb(), "ym")
        self.add("xgb_offset", xgb(offset_column="off"), "y", special=("off",))
        forest = H2OIsolationForestEstimator(ntrees=6, seed=1)
        self.add("isolation_forest", forest)
        self.add("isolation_forest_flag", H2OIsolationForestEstimator(ntrees=6, seed=1, contamination=0.1))
        self.add("extended_isolation_forest", H2OExtendedIsolationForestEstimator(ntrees=6, seed=1, extension_level=2))
        uplift = H2OUpliftRandomForestEstimator(**small, treatment_column="treatment", uplift_metric="KL")
        self.add("uplift", uplift, "yu", special=("treatment",))

    def encodings(self) -> None:
        from h2o.estimators import H2ODeepLearningEstimator, H2OGradientBoostingEstimator, H2OXGBoostEstimator

        small = {"ntrees": 4, "max_depth": 4, "seed": 1, "min_rows": 5}
        for kind in ("one_hot_explicit", "binary", "eigen", "label_encoder", "sort_by_response", "enum"):
            self.add(f"gbm_{kind}", H2OGradientBoostingEstimator(**small, categorical_encoding=kind), "yb")
        limited = H2OGradientBoostingEstimator(**small, categorical_encoding="enum_limited")
        self.add("gbm_enum_limited", limited, "y")
        sorted_levels = H2OXGBoostEstimator(**small, categorical_encoding="sort_by_response")
        self.add("xgb_sort_by_response", sorted_levels, "yb")
        deep = {"hidden": [5], "epochs": 2, "seed": 1, "reproducible": True}
        for kind in ("binary", "eigen", "label_encoder"):
            self.add(f"deep_{kind}", H2ODeepLearningEstimator(**deep, categorical_encoding=kind), "yb")

    def linear(self) -> None:
        from h2o.estimators import (
            H2OCoxProportionalHazardsEstimator,
            H2OGeneralizedAdditiveEstimator,
            H2OGeneralizedLinearEstimator,
            H2OIsotonicRegressionEstimator,
            H2ORuleFitEstimator,
        )

        glm = H2OGeneralizedLinearEstimator
        self.add("glm_regression", glm(family="gaussian"), "y")
        self.add("glm_binomial", glm(family="binomial"), "yb")
        self.add("glm_multinomial", glm(family="multinomial"), "ym")
        self.add("glm_poisson", glm(family="poisson"), "count")
        self.add("glm_ordinal", glm(family="ordinal"), "yo")
        gam = H2OGeneralizedAdditiveEstimator
        few = ["cat", "x2"]
        self.add("gam_regression", gam(family="gaussian", gam_columns=["x1", "x3"], num_knots=[5, 6]), "y", few)
        self.add("gam_binomial", gam(family="binomial", gam_columns=["x1"], num_knots=[5]), "yb", few)
        for name in ("gam_regression", "gam_binomial"):
            case = self.cases[name]
            for extra in ("x1", "x3")[: 2 if name == "gam_regression" else 1]:
                case.rows[extra], case.types[extra] = self.rows[extra], "numeric"
        cox = H2OCoxProportionalHazardsEstimator
        numbers = ["x1", "x2", "x3", "cat"]
        self.add("coxph", cox(stop_column="stop"), "event", numbers)
        self.add("rulefit", H2ORuleFitEstimator(max_num_rules=20, seed=1, max_rule_length=3), "y")
        self.add("rulefit_binomial", H2ORuleFitEstimator(max_num_rules=20, seed=1, max_rule_length=3), "yb")
        self.add("isotonic_regression", H2OIsotonicRegressionEstimator(out_of_bounds="clip"), "count", ["off"])

    def deep(self) -> None:
        from h2o.estimators import H2OAutoEncoderEstimator, H2ODeepLearningEstimator

        deep = {"hidden": [5, 5], "epochs": 2, "seed": 1, "reproducible": True}
        self.add("deep_regression", H2ODeepLearningEstimator(**deep), "y")
        self.add("deep_offset", H2ODeepLearningEstimator(**deep, offset_column="off"), "y", special=("off",))
        self.add("deep_binomial", H2ODeepLearningEstimator(**deep), "yb")
        self.add("deep_multinomial", H2ODeepLearningEstimator(**deep), "ym")
        self.add("autoencoder", H2OAutoEncoderEstimator(**deep))

    def unsupervised(self) -> None:
        from h2o.estimators import (
            H2OGeneralizedLowRankEstimator,
            H2OKMeansEstimator,
            H2OPrincipalComponentAnalysisEstimator,
        )

        self.add("kmeans", H2OKMeansEstimator(k=4, seed=1, standardize=True))
        pca = H2OPrincipalComponentAnalysisEstimator(k=3, transform="standardize", impute_missing=True, seed=1)
        self.add("pca", pca)
        glrm = H2OGeneralizedLowRankEstimator(k=2, seed=1, max_iterations=20, transform="standardize")
        glrm.train(x=["x1", "x2", "x3"], training_frame=self.frame)
        self.export("glrm", glrm, ["x1", "x2", "x3"], expected=False)

    def others(self) -> None:
        from h2o.estimators import (
            H2OGeneralizedLinearEstimator,
            H2OGradientBoostingEstimator,
            H2OStackedEnsembleEstimator,
            H2OTargetEncoderEstimator,
            H2OWord2vecEstimator,
        )

        folds = {"nfolds": 2, "fold_assignment": "Modulo", "keep_cross_validation_predictions": True, "seed": 1}
        for name, y in (("ensemble", "y"), ("ensemble_binomial", "yb"), ("ensemble_multinomial", "ym")):
            family = {"y": "gaussian", "yb": "binomial", "ym": "multinomial"}[y]
            bases = [
                H2OGradientBoostingEstimator(ntrees=3, max_depth=3, **folds),
                H2OGeneralizedLinearEstimator(family=family, **folds),
            ]
            for base in bases:
                base.train(x=FEATURES, y=y, training_frame=self.frame)
            self.add(name, H2OStackedEnsembleEstimator(base_models=bases), y)

        encoder = H2OTargetEncoderEstimator(blending=True, inflection_point=3, smoothing=10, seed=1, noise=0)
        encoder.train(x=["cat", "grade"], y="yb", training_frame=self.frame)
        self.export("target_encoder", encoder, ["cat", "grade"])

        words = self.h2o.H2OFrame({"words": ["tree", "forest", "flow", "tree", "river", None] * 40})
        words = words.ascharacter()
        word2vec = H2OWord2vecEstimator(vec_size=5, min_word_freq=1, epochs=2)
        word2vec.train(training_frame=words)
        asked = ["tree", "river", "unheard"]
        path = Path(word2vec.download_mojo(str(self.folder / "word2vec.zip")))
        case = Case("word2vec", "WordEmbedding", path, {"words": asked}, {"words": "string"})
        frame = self.h2o.H2OFrame({"words": asked}, column_types={"words": "string"})
        case.expected = self.answers(word2vec.transform(frame, aggregate_method="NONE"))
        self.cases["word2vec"] = case
