"""Smooth stand-ins for functions without a useful gradient, and proven bounds on how wrong they are.

Needs `supple[learn]`, or `supple[keras]` and a backend of your own.
"""

from supple.smooth.bounds import bound, temperature_for
from supple.smooth.functions import (
    abs,
    argmax,
    clip,
    cumax,
    equal,
    floor,
    greater,
    logical_and,
    logical_not,
    logical_or,
    max,
    min,
    one_hot_argmax,
    relu,
    round,
    sign,
    softmax,
    step,
)
from supple.smooth.order import kth_value, median, quantile, rank, sort, top_k

__all__ = [
    "abs",
    "argmax",
    "bound",
    "clip",
    "cumax",
    "equal",
    "floor",
    "greater",
    "kth_value",
    "logical_and",
    "logical_not",
    "logical_or",
    "max",
    "median",
    "min",
    "one_hot_argmax",
    "quantile",
    "rank",
    "relu",
    "round",
    "sign",
    "softmax",
    "sort",
    "step",
    "temperature_for",
    "top_k",
]
