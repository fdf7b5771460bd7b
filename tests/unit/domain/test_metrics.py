import math

import pytest

from forestflow.domain.errors import Invalid
from forestflow.domain.metrics import MetricReport, Sample, mean, means, with_report
from forestflow.domain.settings import MAX_WINDOW, MetricSettings


def samples(*values, count=1):
    return tuple(Sample(v, i, count) for i, v in enumerate(values))


def test_rolling_mean_weighs_by_count():
    window = MetricSettings(window=2)
    assert mean(samples(100, 1, 3), window) == 2
    assert mean((Sample(1, 0, 3), Sample(5, 1, 1)), window) == 2


def test_exponential_mean():
    half = MetricSettings(alpha=0.5)
    assert mean(samples(0, 1), half) == 0.5
    assert mean(samples(0, 1, 1), half) == 0.75
    # two observations in one report weigh as two reports
    assert mean((Sample(0, 0), Sample(1, 1, 2)), half) == 0.75
    assert mean(samples(7), half) == 7


def test_reports_append_or_replace():
    known = with_report({}, MetricReport("auc", samples(0.5)))
    known = with_report(known, MetricReport("auc", samples(0.7)))
    assert means(known, MetricSettings()) == pytest.approx({"auc": 0.6})
    known = with_report(known, MetricReport("auc", samples(0.9), replace=True))
    assert means(known, MetricSettings()) == {"auc": 0.9}
    assert len(with_report({}, MetricReport("n", samples(*range(MAX_WINDOW + 5))))["n"]) == MAX_WINDOW


@pytest.mark.parametrize(
    "make",
    [
        lambda: Sample(math.nan, 0),
        lambda: Sample(math.inf, 0),
        lambda: Sample(1, 0, 0),
        lambda: MetricReport("", samples(1)),
        lambda: MetricReport("auc", ()),
    ],
)
def test_refuses_what_is_no_metric(make):
    with pytest.raises(Invalid):
        make()
