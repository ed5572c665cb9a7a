"""What Keras lacks, for any Keras 3 model: any tensor by name, averages of weights, reproducible data.

Needs `supple[learn]`, or `supple[keras]` and a backend of your own.
"""

from supple.training.average import Average
from supple.training.dataset import Dataset, DatasetProgress
from supple.training.paths import paths
from supple.training.probe import capture, probe
from supple.training.weight_average import WeightAverage

__all__ = ["Average", "Dataset", "DatasetProgress", "WeightAverage", "capture", "paths", "probe"]
