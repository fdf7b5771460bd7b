"""The probe, around models that are functions of NumPy; and what settings and merge keys make of what it finds."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest

from forestflow.domain.errors import InvalidInput, ModelFailed
from forestflow.domain.independence import Independence, IndependentRows
from forestflow.domain.requests import SIGNATURE_KEY
from forestflow.domain.tensors import DTYPES, IOMetadata, ModelMetadata, Signature, TensorType
from forestflow.servables import samples
from forestflow.servables.independence import MAX_ROWS, merge_key, never, probe, settled

F32, F64, I64 = TensorType.Float32, TensorType.Float64, TensorType.Int64
X = (IOMetadata("x", F64, (2,)),)
LATER = 1e9  # of a clock that stands still


def tried(function, inputs=X, examples=(), **options):
    """What is found of a model that answers ``y``; and of how many rows its calls were."""
    calls = []

    def run(given):
        calls.append(len(next(iter(given.values()))))
        answer = function(*given.values())
        return answer if isinstance(answer, dict) else {"y": answer}

    options = {"end": LATER, "clock": lambda: 0.0, **options}
    return probe(run, inputs, examples, **options), calls


def imputed(x):
    return np.where(np.isnan(x), np.nanmean(x, axis=0), x)


def padded(x):
    """A row for each, as long as the longest of them needs."""
    width = int(np.nanmax(np.abs(x)) * 10) + 1
    return np.repeat(x[:, :1], width, axis=1)


STATE = np.random.default_rng(0)
SEEN = [0.0]


def counted(x):
    SEEN[0] += 1
    return x + SEEN[0]


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x,
        lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True),
        lambda x: x @ np.arange(6.0).reshape(2, 3),
        lambda x: (x[:, 0] > 0).astype(np.int64),
        lambda x: np.where(x[:, :1] > 0, np.nan, 1.0),
        lambda x: x.astype(np.float16),
        lambda x: np.array([f"{value:.2f}" for value in x[:, 0]]),
        lambda x: {"a": x, "b": np.isnan(x)},
        np.log,  # NaN where a row is negative
    ],
)
def test_models_that_answer_each_row_for_itself(function):
    found, calls = tried(function)
    assert found.shown, found.reason
    assert 1 in calls
    assert max(calls) == MAX_ROWS
    assert len(set(calls)) >= 6


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda x: x @ x.T, "depends on the number of rows"),
        (lambda x: np.exp(x) / np.exp(x).sum(axis=0), "when other rows are beside it"),
        (lambda x: x - x.mean(axis=0), "when other rows are beside it"),
        (lambda x: x - 0.01 * x.mean(axis=0), "when other rows are beside it"),
        (lambda x: x[::-1], "when other rows are beside it"),
        (lambda x: np.sort(x, axis=0), "when other rows are beside it"),
        (lambda x: np.cumsum(x, axis=0), "when other rows are beside it"),
        (lambda x: np.roll(x, 1, axis=0), "when other rows are beside it"),
        (lambda x: x + len(x), "when other rows are beside it"),
        (lambda x: x if len(x) < 100 else x[::-1], "when other rows are beside it"),
        (lambda x: x if len(x) > 1 else 2 * x, "when other rows are beside it"),
        (lambda x: {"a": x, "b": x[:, 0].argsort()}, "output 'b' has another answer"),
        (imputed, "when other rows are beside it"),
        (padded, "depends on the number of rows"),
        (lambda x: x.astype(np.float32 if len(x) == 3 else np.int64), "depends on the number of rows"),
        (np.unique, r"has the shape \[\d\] for 3 rows"),
        (np.transpose, r"has the shape \[2, 3\] for 3 rows"),
        (lambda x: x.reshape(-1, 1), r"has the shape \[6, 1\] for 3 rows"),
        (lambda x: x[x[:, 0] > 0], r"has the shape \[\d, 2\] for \d rows"),
        (lambda x: np.concatenate([x, x]), r"has the shape \[6, 2\] for 3 rows"),
        (lambda x: x.sum(), r"has the shape \[\] for 3 rows"),
        (lambda x: x + STATE.normal(size=x.shape), "the same rows differently the second time"),
        (counted, "the same rows differently the second time"),
        (lambda x: np.zeros((len(x), 2)), "the answers to made-up inputs are all the same"),
    ],
)
def test_models_that_do_not(function, why):
    found, _ = tried(function)
    assert not found.shown
    assert re.search(why, found.reason), found.reason


def test_kernels_of_other_sizes_may_round_differently():
    def rounded(x):
        """As a product with another number of rows may be: other in its last bits."""
        return (x * (1 + 1e-7 * len(x))).astype(np.float32)

    assert tried(rounded)[0].shown
    assert not tried(lambda x: (x * (1 + 1e-2 * len(x))).astype(np.float32))[0].shown


def test_what_is_refused_in_any_company_is_not_made_up_again_and_again():
    def refusing(x):
        raise InvalidInput("no")

    found, calls = tried(refusing)
    assert found == Independence(False, "not shown: the model refuses made-up inputs: no")
    assert len(calls) == len(samples.KINDS)


def test_rows_that_are_taken_beside_others_and_refused_alone_depend_on_them():
    def odd(x):
        if len(x) == 1:
            raise ModelFailed("two at least")
        return x

    found, _ = tried(odd)
    assert not found.shown
    assert "refuses 1 rows" in found.reason
    assert "two at least" in found.reason


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text")


@pytest.mark.parametrize("error", [AttributeError("x"), MemoryError(), SystemExit(2), Unprintable()])
def test_whatever_is_raised_refuses_no_deploy(error):
    def fail(x):
        raise error

    found, _ = tried(fail)
    assert found == Independence(False, f"not shown: trying it raised {type(error).__name__}")


def test_kinds_of_values_until_a_model_takes_one():
    def digits(texts):
        try:
            return texts.astype(np.int64)
        except ValueError as error:
            raise InvalidInput(str(error)) from None

    assert tried(digits, (IOMetadata("x", TensorType.String),))[0].shown
    table = np.arange(100.0)
    assert tried(lambda i: table[:2][i] if (i < 2).all() else table[i], (IOMetadata("i", I64, (3,)),))[0].shown

    def large(image):
        if image.shape[1] < 32:
            raise InvalidInput("too small")
        return image.mean(axis=(1, 2))

    found, _calls = tried(large, (IOMetadata("x", F32, (-1, -1)),))
    assert found.shown


def test_examples_show_what_made_up_values_do_not():
    def picky(ids):
        """Takes ids from 1000 to 1003 alone, and sorts its batch."""
        if not np.isin(ids, [1000, 1001, 1002, 1003]).all():
            raise InvalidInput("unknown id")
        return np.sort(ids, axis=0)

    inputs = (IOMetadata("ids", I64, (2,)),)
    assert "refuses made-up inputs" in tried(picky, inputs)[0].reason
    for example in ([[1000, 1003]], [[1000, 1001], [1003, 1000], [1002, 1002]]):
        found, _ = tried(picky, inputs, [{"ids": np.array(example)}])
        assert "when other rows are beside it" in found.reason
    found, _ = tried(lambda ids: picky(ids) * 0 + ids, inputs, [{"ids": np.array([[1000, 1001], [1003, 1000]])}])
    assert found.shown


def test_a_slow_model_is_asked_a_few_times_and_no_more():
    now = [0.0]

    def slow(x):
        now[0] += 10 * len(x)
        return x

    found, calls = tried(slow, end=0.3, clock=lambda: now[0])
    assert found.shown
    assert calls == [3, 4, 3, 1, 4]
    found, calls = tried(lambda x: slow(x) - x.mean(axis=0), end=0.3, clock=lambda: now[0])
    assert not found.shown

    def refusing(x):
        slow(x)
        raise InvalidInput("no")

    found, calls = tried(refusing, (IOMetadata("x", F32, (-1,)),), end=now[0] + 1, clock=lambda: now[0])
    assert not found.shown
    assert len(calls) < len(samples.KINDS) * 3


def test_more_rows_are_tried_only_as_long_as_they_are_over_in_time():
    now = [0.0]

    def per_row(x):
        now[0] += 0.01 * len(x)
        return x

    found, calls = tried(per_row, end=0.5, clock=lambda: now[0])
    assert found.shown
    assert 1 in calls
    assert MAX_ROWS not in calls


def test_no_call_has_more_rows_than_a_slice():
    assert max(tried(lambda x: x, most_rows=20)[1]) == 20
    assert max(tried(lambda x: x, most_rows=1)[1]) == 7


@pytest.mark.parametrize("kind", TensorType)
def test_every_type_has_rows_that_differ(kind):
    for draw in samples.KINDS:
        for pool in samples.drawn([IOMetadata("x", kind, (4, -1))], draw, 7):
            assert pool["x"].dtype == DTYPES[kind]
            assert pool["x"].shape[:2] == (7, 4)
            assert len({repr(row.tolist()) for row in pool["x"]}) > 1
    for pool in samples.like({"x": next(samples.drawn([IOMetadata("x", kind, (4,))], "wide", 2))["x"]}, 7):
        assert pool["x"].dtype == DTYPES[kind]
        assert len({repr(row.tolist()) for row in pool["x"]}) > 1


WORD = (IOMetadata("text", TensorType.String),)


def averaged(split, read=len):
    """A model of texts that pads the words of each to the longest text of the batch."""

    def run(texts, *beside):
        each = [[read(word) for word in split(text)] for text in texts.tolist()]
        width = max(map(len, each), default=0)
        table = np.array([row + [0] * (width - len(row)) for row in each], float).reshape(len(each), width)
        return table.sum(axis=1) / max(width, 1) + sum(beside)

    return run


def digit(word):
    if not word.isdigit():
        raise InvalidInput(f"{word!r} is no number")
    return int(word)


@pytest.mark.parametrize("kind", [TensorType.String, TensorType.Bytes])
@pytest.mark.parametrize("separator", [*" ,;|/:.-_\t\n", None, ""])
def test_texts_that_a_model_pads_to_the_longest_of_a_batch(separator, kind):
    def split(text):
        text = text if isinstance(text, str) else text.decode()
        return list(text) if separator == "" else text.split(separator)

    for inputs in ((IOMetadata("text", kind),), (IOMetadata("text", kind), IOMetadata("x", F64))):
        found, _ = tried(averaged(split), inputs)
        assert "when other rows are beside it" in found.reason
        assert tried(lambda texts, *_: np.array([len(split(text)) for text in texts]), inputs)[0].shown


@pytest.mark.parametrize("separator", [None, ","])
def test_texts_of_numbers_that_a_model_pads(separator):
    found, _ = tried(averaged(lambda text: text.split(separator), digit), WORD)
    assert "when other rows are beside it" in found.reason


def test_models_that_refuse_an_empty_text_or_several_words():
    def lengths(texts):
        return np.array([len(text) for text in texts])

    def filled(texts):
        if not all(texts):
            raise InvalidInput("empty")
        return averaged(str.split)(texts)

    def single(texts):
        if any(len(text.split()) != 1 for text in texts):
            raise InvalidInput("one word")
        return lengths(texts)

    assert "when other rows are beside it" in tried(filled, WORD)[0].reason
    assert tried(single, WORD)[0].shown
    assert tried(lengths, WORD)[0].shown


def test_texts_made_of_the_words_of_an_example():
    def known(word):
        if word not in ("the", "cat", "sat"):
            raise InvalidInput(f"unknown word {word!r}")
        return len(word) * ord(word[0])

    for example in (["the cat sat"], ["the cat", "sat sat"], ["cat", "cat"]):
        found, _ = tried(averaged(str.split, known), WORD, [{"text": np.array(example, object)}])
        assert not found.shown, found.reason
    assert "refuses made-up inputs" in tried(averaged(str.split, known), WORD)[0].reason


def test_rows_of_one_text_alone_show_nothing_of_texts():
    def encoded(texts, x):
        """Takes two texts as a whole, as an encoder that was fitted on them."""
        if not np.isin(texts, ["cat food", "dog"]).all():
            raise InvalidInput("unknown category")
        return averaged(str.split)(texts, x)

    inputs = (*WORD, IOMetadata("x", F64))
    for texts, why in (
        (["dog"], "one text alone for 'text'"),
        (["dog", "dog"], "one text alone for 'text'"),
        (["dog", "cat food"], "when other rows are beside it"),
    ):
        example = {"text": np.array(texts, object), "x": np.arange(len(texts), dtype=float)}
        found, _ = tried(encoded, inputs, [example])
        assert not found.shown
        assert why in found.reason


# --- what becomes of it ----------------------------------------------------------------------------------------------


def servable(**found):
    """Signatures a, b and fixed; ``found`` is what is known of them."""
    signatures = {name: Signature((), (), name != "fixed") for name in ("a", "b", "fixed")}
    keys = {None: "a", "a": "a", "b": "b"}
    return SimpleNamespace(
        metadata=ModelMetadata((), (), signatures, "a"),
        independence=lambda: {name: Independence(shown, "tried") for name, shown in found.items()},
        merge_key=lambda configs: keys.get(configs.get(SIGNATURE_KEY)),
    )


def test_the_settings_count_more_than_what_is_found():
    one = servable(a=True, b=False, fixed=False)
    assert settled(one, IndependentRows.AUTO) == one.independence()
    yes, no = settled(one, IndependentRows.YES), settled(one, IndependentRows.NO)
    assert {name: found.shown for name, found in yes.items()} == {"a": True, "b": True, "fixed": False}
    assert {name: found.shown for name, found in no.items()} == {"a": False, "b": False, "fixed": False}
    assert all("merging.independentRows" in found.reason for found in [yes["a"], *no.values()])


def test_requests_merge_for_signatures_of_independent_rows():
    one = servable(a=True, b=False)
    key = merge_key(one, one.independence())
    assert [key({}), key({SIGNATURE_KEY: "a"}), key({SIGNATURE_KEY: "b"})] == ["a", "a", None]
    one = servable(a=False, b=True)
    key = merge_key(one, one.independence())
    assert [key({}), key({SIGNATURE_KEY: "a"}), key({SIGNATURE_KEY: "b"})] == [None, None, "b"]
    all_of_them = servable(a=True, b=True)
    assert merge_key(all_of_them, all_of_them.independence()) == all_of_them.merge_key
    none = servable(a=False, b=False)
    assert merge_key(none, none.independence()) is never
    assert never({}) is None
