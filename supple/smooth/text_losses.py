"""BLEU, ROUGE and edit distance of `supple.smooth.text` as losses of Keras."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from supple.smooth.functions import softmax
from supple.smooth.text import SmoothMethod, bleu, edit_distance, rouge_l, rouge_n

register = keras.saving.register_keras_serializable("supple")


class TextLoss(keras.losses.Loss):
    """A loss for each text of a batch: `y_true` (batch, reference time) holds ids, `y_pred` (batch, time,
    vocabulary) probabilities, or logits with `from_logits`.

    With the token `end`, both texts end before the first. Without it all tokens of `y_true` count up to the
    first `pad`, if there is one, and of `y_pred` as many: then both need the same number of time steps.
    """

    def __init__(
        self, *, end: int | None = None, pad: int | None = None, from_logits: bool = False, **options: Any
    ):
        super().__init__(**options)
        self.end, self.pad, self.from_logits = end, pad, from_logits

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        # Keras would weigh texts by the mask that hangs on a tensor and has a time axis; a new one has none.
        return super().__call__(y_true, 1 * y_pred, sample_weight)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        y_true = ops.cast(y_true, "int32")
        lengths: dict[str, Any] = {"end": self.end}
        if self.pad is not None:
            lengths["reference_mask"] = y_true != self.pad
            if self.end is None:
                if tuple(y_true.shape) != tuple(y_pred.shape[:2]):
                    shapes = f"y_true has shape {tuple(y_true.shape)} and y_pred {tuple(y_pred.shape)}"
                    raise ValueError(
                        f"{shapes}; give as many time steps, or `end` so that predictions have a length"
                    )
                lengths["mask"] = lengths["reference_mask"]
        return self.loss(softmax(y_pred) if self.from_logits else y_pred, y_true, lengths)

    def loss(self, p: Any, reference: Any, lengths: dict[str, Any]) -> Any:
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        own = {"end": self.end, "pad": self.pad, "from_logits": self.from_logits}
        return super().get_config() | own


@register
class SoftBLEU(TextLoss):
    """1 - `bleu` of each text, which "exp" and "add-k" smooth so that all n-grams have gradients."""

    def __init__(
        self,
        *,
        max_ngram_order: int = 4,
        smooth_method: SmoothMethod = "exp",
        smooth_value: float | None = None,
        effective_order: bool = False,
        name: str = "soft_bleu",
        **options: Any,
    ):
        super().__init__(name=name, **options)
        self.options: dict[str, Any] = {
            "max_ngram_order": max_ngram_order,
            "smooth_method": smooth_method,
            "smooth_value": smooth_value,
            "effective_order": effective_order,
        }

    def loss(self, p: Any, reference: Any, lengths: dict[str, Any]) -> Any:
        return 1 - bleu(p, reference, **lengths, **self.options)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | self.options


@register
class SoftROUGE(TextLoss):
    """1 - the F-measure of ROUGE-n, or of ROUGE-L at a temperature, of each text.

    Above temperature 0 all alignments that are nearly the best have gradients, not the best alone.
    """

    def __init__(
        self,
        n: int | Literal["L"] = "L",
        *,
        temperature: float = 0.1,
        name: str = "soft_rouge",
        **options: Any,
    ):
        super().__init__(name=name, **options)
        self.n, self.temperature = n, temperature

    def loss(self, p: Any, reference: Any, lengths: dict[str, Any]) -> Any:
        if self.n == "L":
            return 1 - rouge_l(p, reference, **lengths, temperature=self.temperature).fmeasure
        return 1 - rouge_n(p, reference, self.n, **lengths).fmeasure

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"n": self.n, "temperature": self.temperature}


@register
class SoftEditDistance(TextLoss):
    """The edit distance of each text divided by the length of the reference, at a temperature as above."""

    def __init__(self, *, temperature: float = 0.1, name: str = "soft_edit_distance", **options: Any):
        super().__init__(name=name, **options)
        self.temperature = temperature

    def loss(self, p: Any, reference: Any, lengths: dict[str, Any]) -> Any:
        return edit_distance(p, reference, **lengths, temperature=self.temperature, normalized=True)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"temperature": self.temperature}
