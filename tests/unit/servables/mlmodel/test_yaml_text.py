"""YAML from strangers: what MLflow writes is read as PyYAML reads it, what is a trap is refused."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from forestflow.servables.mlmodel import yaml_text
from tests.growth import assert_linear

WRITTEN = """\
artifact_path: model
flavors:
  python_function:
    env: &env {conda: conda.yaml, virtualenv: python_env.yaml}
    loader_module: mlflow.sklearn
    model_path: model.pkl
    python_version: 3.11.7
  sklearn:
    code: null
    env: *env
    pickled_model: model.pkl
    skops_trusted_types: []
    sklearn_version: 1.5
    size: 843
is_signature_from_type_hint: false
signature:
  inputs: '[{"type": "double", "name": "a", "required": true}]'
  params: ~
utc_time_created: '2026-11-21 05:34:21.123456'
yes: [On, no, +7, -0.5, 007, "1"]
"""

plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(-1e15, 1e15).map(lambda value: round(value, 3))
    | st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abcxyz", max_size=4), inner, max_size=4),
    max_leaves=12,
)


def test_what_mlflow_writes() -> None:
    expected = yaml.safe_load(WRITTEN)
    expected[True][4] = 7  # PyYAML takes a leading zero for base 8, which nobody means
    assert yaml_text.load(WRITTEN) == expected


@given(plain)
def test_what_pyyaml_writes(value: object) -> None:
    assert yaml_text.load(yaml.safe_dump(value, allow_unicode=True)) == value


NESTED = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)


@pytest.mark.parametrize(
    "text",
    [
        NESTED,  # ten billion texts, once somebody prints it
        "a: &a [*a]",
        "a: &a {b: {c: *a}}",
        "[" + "a, " * 100_000 + "a]",
    ],
)
def test_more_values_than_a_description_has(text: str) -> None:
    with pytest.raises(ValueError, match="it stands for more than 100000 values"):
        yaml_text.load(text)


@pytest.mark.parametrize(
    "text",
    ["!!timestamp x", "!!int ''", "!!int x", "!!bool x", "!!binary '*'", "!!float x", "!!set {a, b}",
     "!!omap [a]", "!!python/name:os.system", "!!null x", "{[a]: b}", "a: b: c", "\0", "- a\n--- b", "!!int [1]"],
)  # fmt: skip
def test_what_is_no_plain_value(text: str) -> None:
    """None of it is refused by an error of another kind."""
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        yaml_text.load(text)


def test_dates_and_what_looks_like_numbers_stay_texts() -> None:
    for text in ("2024-13-45", "2024-01-02", "1:30", "1_000", "0x1f", "1e5", ".inf", "1" * 19):
        assert yaml_text.load(text) == text


@pytest.mark.parametrize(
    "make",
    [
        lambda n: "a: 1" + ":1" * n,  # a number in base 60
        lambda n: "a: 1" + ":1" * n + ".5",
        lambda n: "a: " + "9" * n,
        lambda n: "a: 0x" + "f" * n,
        lambda n: "a: " + "_" * n,
        lambda n: "a: 'x" + "''" * n + "'",
    ],
)
def test_long_scalars(make) -> None:
    assert_linear(make, yaml_text.load, 2000)
