"""Numbers in Prometheus' text format. Imported only when needed, because the library costs memory.

Source of the format: Prometheus, text-based exposition format 0.0.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector

from daemon.runtime.metrics import Distribution

Sample = tuple[Mapping[str, str], float]
_COUNTED = "_total"
"""The suffix of a counter's samples, which its family does not have in the library."""


def family(name: str, kind: str, explanation: str, samples: Sequence[Sample]) -> Metric:
    """Return one metric with its samples; `kind` is `gauge` or `counter`."""
    metric = Metric(name.removesuffix(_COUNTED), explanation, kind)
    for labels, value in samples:
        metric.add_sample(name, dict(labels), value)
    return metric


def histogram_family(
    name: str,
    explanation: str,
    bounds: Sequence[float],
    labels: Sequence[str],
    values: Mapping[tuple[str, ...], Distribution],
) -> Metric:
    """Return one histogram with its distributions by the values of the labels."""
    metric = HistogramMetricFamily(name, explanation, labels=labels)
    limits = [*(str(float(bound)) for bound in bounds), "+Inf"]
    for value, each in values.items():
        metric.add_metric(value, list(zip(limits, each.cumulative, strict=True)), each.total)
    return metric


def exposition(families: Iterable[Metric]) -> str:
    """Return the text. Raises what the families raise."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(families))
    return generate_latest(registry).decode()


class _Given(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
