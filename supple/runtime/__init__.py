"""Run a trained extractor: texts in, triples out, on numpy and ONNX Runtime alone.

>>> from supple.runtime import Extractor
>>> extractor = Extractor.load("zh")  # doctest: +SKIP
>>> extractor("《大侠霍元甲》是徐小明执导的电视剧")  # doctest: +SKIP
"""

from supple.runtime.extractor import Extractor
from supple.runtime.triple import Span, Triple

__all__ = ["Extractor", "Span", "Triple"]
