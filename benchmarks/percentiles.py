"""
How far percentiles from merged buckets are from the exact ones of the same samples.

A million durations of several shapes, spread over 6 processes with 48 windows each, are counted apart and merged; each
percentile is compared with the nearest-rank one of all samples sorted. The bound is 1.083 %: half of the ratio between
neighbouring buckets. Run with `make bench SCRIPT=percentiles.py`.
"""

import argparse
import functools
import json
import math
import random
from collections.abc import Callable

from querygauge.histogram import EMPTY, Histogram

_NS_PER_MS = 1e6
_PARTS = 6 * 48
_QUANTILES = (0.5, 0.95, 0.99)

Shape = Callable[[random.Random], float]
SHAPES: dict[str, Shape] = {
    "lognormal, 2 ms median": lambda dice: dice.lognormvariate(math.log(2.0), 1.2),
    "exponential, 5 ms mean": lambda dice: dice.expovariate(1 / 5.0),
    "two modes, 0.3 and 80 ms": lambda dice: dice.gauss(0.3, 0.05) if dice.random() < 0.9 else dice.gauss(80.0, 9.0),
    "uniform to 1 s": lambda dice: dice.uniform(0.001, 1000.0),
}


def errors_percent(shape: Shape, samples: int, seed: int) -> dict[float, float]:
    """Relative error of each quantile, in percent."""
    dice = random.Random(seed)
    durations = [max(1, int(shape(dice) * _NS_PER_MS)) for _ in range(samples)]
    parts = [Histogram.of(durations[start::_PARTS]) for start in range(_PARTS)]
    merged = functools.reduce(Histogram.merged, parts, EMPTY)
    durations.sort()
    exact = {q: durations[math.ceil(q * samples) - 1] / _NS_PER_MS for q in _QUANTILES}
    return {q: 100 * abs(merged.quantile_ms(q) - exact[q]) / exact[q] for q in _QUANTILES}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="Errors of percentiles from merged buckets.")
    parser.add_argument("--samples", type=int, default=1_000_000, help="durations per shape")
    parser.add_argument("--seed", type=int, default=1, help="of the random numbers")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    arguments = parser.parse_args()
    found = {name: errors_percent(shape, arguments.samples, arguments.seed) for name, shape in SHAPES.items()}
    if arguments.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{'shape':<28}" + "".join(f"{f'p{100 * q:g} off by':>14}" for q in _QUANTILES))
    for name, errors in found.items():
        print(f"{name:<28}" + "".join(f"{errors[q]:>12.2f} %" for q in _QUANTILES))


if __name__ == "__main__":
    main()
