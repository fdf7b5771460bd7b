"""Hypothesis strategies of messages and domain values, and what equal batches are."""

import numpy as np
from hypothesis import strategies as st

from forestflow._gen import inference_pb2 as pb
from forestflow.codecs.json.inference_json import TENSOR_KEYS
from forestflow.codecs.messages.policies import shortest
from forestflow.domain import settings as domain
from forestflow.domain.ids import RESERVED_ORGANIZATIONS, Contract, Fqrv
from forestflow.domain.policies.expiration import KeepAll, KeepLatest, KeepTopRanked, MaxAge
from forestflow.domain.policies.phase_in import (
    ImmediatePhaseIn,
    LinearTimeBasedPhaseIn,
    ManualPhaseIn,
    PhaseInStep,
    StepPhaseIn,
)
from forestflow.domain.policies.routers import (
    FairPhaseInPctBasedRouter,
    LatestPhaseInPctBasedRouter,
    PerformanceRouter,
    StickyRouter,
)
from forestflow.domain.policies.validity import (
    ImmediatelyValid,
    MinServedEventsBasedValidity,
    NeverValid,
    PerformanceBasedValidity,
    TimeBasedValidity,
)
from forestflow.domain.policies.view import Ordering
from forestflow.domain.requests import H2OMojo, ServeRequest
from forestflow.domain.tensors import DTYPES, Batch, Column, TensorType

texts = st.text(st.characters(codec="utf-8"), max_size=12)
names = st.text(st.characters(codec="utf-8", exclude_categories=("Cc",), exclude_characters="/"), min_size=1).filter(
    lambda name: name not in (".", "..")
)

VALUES = {
    TensorType.String: texts,
    TensorType.Int8: st.integers(-(2**7), 2**7 - 1),
    TensorType.Int16: st.integers(-(2**15), 2**15 - 1),
    TensorType.Int32: st.integers(-(2**31), 2**31 - 1),
    TensorType.Int64: st.integers(-(2**63), 2**63 - 1),
    TensorType.Float16: st.floats(width=16),
    # json_format refuses to read the largest float as it prints it; test_basic_decoding has that case
    TensorType.Float32: st.floats(width=32).filter(lambda value: abs(value) != float(np.finfo(np.float32).max)),
    TensorType.Float64: st.floats(),
    TensorType.Bool: st.booleans(),
    TensorType.Bytes: st.binary(max_size=8),
    TensorType.UInt8: st.integers(0, 2**8 - 1),
    TensorType.UInt16: st.integers(0, 2**16 - 1),
    TensorType.UInt32: st.integers(0, 2**32 - 1),
    TensorType.UInt64: st.integers(0, 2**64 - 1),
}
FIELD_OF = {kind: key for key, kind in TENSOR_KEYS.items()}


@st.composite
def inference_requests(draw):
    """InferenceRequests whose datums fit their schema."""
    kinds = draw(st.lists(st.sampled_from(list(TensorType)), min_size=1, max_size=4))
    schema = [pb.TensorSchema(type=k.name, fields=draw(st.lists(texts, min_size=1, max_size=3))) for k in kinds]
    widths = [len(e.fields) if len(e.fields) > 1 else draw(st.integers(0, 4)) for e in schema]
    request = pb.InferenceRequest(schema=schema, configs=draw(st.dictionaries(texts, texts, max_size=3)))
    for _ in range(draw(st.integers(1, 4))):
        datum = request.datum.add()
        for kind, width in zip(kinds, widths, strict=True):
            values = getattr(datum.tensors.add(), FIELD_OF[kind])
            values.SetInParent()
            values.data.extend(draw(st.lists(VALUES[kind], min_size=width, max_size=width)))
            if draw(st.booleans()):
                values.tensorType = kind.name
    return request


@st.composite
def batches(draw, min_rows=0):
    rows = draw(st.integers(min_rows, 4))
    columns = []
    for kind in draw(st.lists(st.sampled_from(list(TensorType)), max_size=4)):
        width = draw(st.integers(0, 4))
        fields = draw(
            st.lists(texts, min_size=1, max_size=1) if width != 2 else st.lists(texts, min_size=2, max_size=2)
        )
        flat = draw(st.lists(VALUES[kind], min_size=rows * width, max_size=rows * width))
        data = np.empty(rows * width, dtype=DTYPES[kind])
        data[:] = flat
        columns.append(Column(kind, tuple(fields), data.reshape(rows, width)))
    return Batch(rows, tuple(columns))


contracts = st.builds(
    Contract, names.filter(lambda name: name not in RESERVED_ORGANIZATIONS), names, st.integers(0, 2**31 - 1)
)
fqrvs = st.builds(Fqrv, contracts, names)

int64s = st.integers(0, 2**63 - 1)
int32s = st.integers(0, 2**31 - 1)
validity_rules = st.one_of(
    st.builds(ImmediatelyValid),
    st.builds(NeverValid),
    st.builds(TimeBasedValidity, int64s),
    st.builds(
        PerformanceBasedValidity,
        st.floats(width=32, allow_nan=False).map(shortest),
        st.none() | texts.filter(bool),
    ),
    st.builds(MinServedEventsBasedValidity, int64s),
)
policy_settings = st.builds(
    domain.PolicySettings,
    st.lists(validity_rules, max_size=3).map(tuple),
    st.builds(ImmediatePhaseIn)
    | st.builds(LinearTimeBasedPhaseIn, int32s)
    | st.builds(ManualPhaseIn, st.integers(0, 100))
    | st.dictionaries(int32s, st.integers(0, 100), min_size=1, max_size=4).map(
        lambda steps: StepPhaseIn(tuple(map(PhaseInStep, sorted(steps), sorted(steps.values()))))
    ),
)
logging_settings = st.builds(
    domain.LoggingSettings,
    st.sampled_from(domain.LogLevel),
    st.lists(texts, min_size=1, max_size=3).map(tuple),
    texts,
)
amounts = st.none() | st.floats(0, allow_nan=False, allow_infinity=False)
deployment_settings = st.builds(
    domain.DeploymentSettings,
    st.integers(1, 1000),
    st.builds(domain.Resources, amounts, amounts, st.none() | int32s),
    st.none() | st.integers(1, 2**31 - 1),
    st.none() | st.floats(0, 86_400, exclude_min=True),
)
servable_settings = st.builds(
    domain.ServableSettings,
    policy_settings,
    st.none() | logging_settings,
    deployment_settings,
    st.builds(domain.ShadowSettings, st.none() | st.booleans(), st.integers(0, 100), st.integers(0, 1_000_000)),
    st.sampled_from(domain.UnknownFields),
)
orderings = st.sampled_from(Ordering)
contract_settings = st.builds(
    domain.ContractSettings,
    st.builds(KeepLatest, st.integers(1, 2**31 - 1))
    | st.builds(KeepTopRanked, st.integers(1, 2**31 - 1), texts.filter(bool), orderings)
    | st.builds(KeepAll)
    | st.builds(MaxAge, st.integers(1, 2**31 - 1)),
    st.builds(FairPhaseInPctBasedRouter)
    | st.builds(LatestPhaseInPctBasedRouter)
    | st.builds(PerformanceRouter, texts.filter(bool), st.floats(0, 1), orderings)
    | st.builds(StickyRouter, texts.filter(bool)),
    st.sampled_from(domain.Routing),
    st.builds(
        domain.MetricSettings,
        st.none() | texts.filter(bool),
        st.integers(1, domain.MAX_WINDOW),
        st.none() | st.floats(0, 1, exclude_min=True),
    ),
)
serve_requests = st.builds(
    ServeRequest,
    texts,
    fqrvs,
    st.builds(H2OMojo, texts, st.none() | texts),
    servable_settings,
    st.none() | contract_settings,
    st.dictionaries(texts, texts, max_size=3),
)


def assert_same(one: Batch, other: Batch) -> None:
    assert one.rows == other.rows
    assert one.signature == other.signature
    for a, b in zip(one.columns, other.columns, strict=True):
        assert a.data.dtype == b.data.dtype == DTYPES[a.type]
        np.testing.assert_array_equal(a.data, b.data)
