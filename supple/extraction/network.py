"""The network: dilated gated convolutions, a subject head, and an object head given a subject.

Symbols: B sentences, T characters, N (sentence, subject) pairs, P predicates, D width.
P(s, p, o | x) = P(s | x) P(p, o | x, s), both sigmoids over positions (Su 2019).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import keras
from keras import ops

from supple.smooth import f_beta_of_counts
from supple.training import probe

POSITIONS = 512  # absolute positions with an embedding of their own
REACH = 64  # relative positions are told apart up to this distance
SUBJECT_STEPS = 6  # positions interpolated from the start to the end of a subject


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of a network; `form="fast"` has no attention, no words and reads a subject by its two edges."""

    characters: int
    predicates: int
    words: int = 0
    word_size: int = 64
    prior: bool = False
    form: str = "full"
    width: int = 128
    dilations: tuple[int, ...] = (1, 2, 5, 1, 2, 5, 1, 2, 5, 1, 1, 1)
    heads: int = 8
    dropout: float = 0.25
    gate_dropout: float = 0.1

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"dilations": list(self.dilations)}


def shift(x: Any, steps: int) -> Any:
    """`x` (B, T, D) moved `steps` positions later in time, zeros moving in."""
    if steps > 0:
        return ops.pad(x, ((0, 0), (steps, 0), (0, 0)))[:, :-steps]
    return ops.pad(x, ((0, 0), (0, -steps), (0, 0)))[:, -steps:]


def product(x: Any, kernel: Any) -> Any:
    """`x @ kernel`, flat where the shape is known: XLA's gradient of a 3-D product is 2-3 times slower."""
    *lead, size = ops.shape(x)
    if not all(isinstance(n, int) for n in lead):
        return x @ kernel
    return ops.reshape(ops.reshape(x, (-1, size)) @ kernel, (*lead, kernel.shape[1]))


def positions(characters: Any) -> Any:
    """0, 1, … of shape (1, T) for ids (B, T); a sum, as jax2onnx takes no `arange` of a dynamic length."""
    return ops.cumsum(ops.ones_like(characters[:1]), axis=1) - 1


def spread(x: Any, size: int) -> Any:
    """`x` (..., 1) repeated to (..., size) by a product: XLA's CPU code is slow to broadcast a last axis."""
    return product(x, ops.ones((1, size)))


class Dense(keras.layers.Dense):
    """Keras's Dense without activation, as a flat product."""

    def call(self, x: Any) -> Any:
        x = product(x, self.kernel)
        return x + self.bias if self.use_bias else x


class Convolution(keras.layers.Layer):
    """Same-padded convolution of kernel 3 as three matrix products, faster on a CPU than XLA's own."""

    def __init__(self, filters: int, dilation: int = 1, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters, self.dilation = filters, dilation

    def build(self, shape: tuple[int | None, ...]) -> None:
        scale = keras.initializers.VarianceScaling(1 / 3, "fan_avg", "uniform")
        self.kernel = self.add_weight((3, shape[-1], self.filters), scale, name="kernel")
        self.bias = self.add_weight((self.filters,), "zeros", name="bias")

    def call(self, x: Any) -> Any:
        before, here, after = (self.kernel[tap] for tap in range(3))
        d = self.dilation
        return product(shift(x, d), before) + product(x, here) + product(shift(x, -d), after) + self.bias


class GatedBlock(keras.layers.Layer):
    """y = x (1 - g) + a g with (a, g) a dilated convolution of x, g through a sigmoid: one DGCNN block."""

    def __init__(self, width: int, dilation: int, dropout: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.convolution = Convolution(2 * width, dilation)
        self.dropout = keras.layers.Dropout(dropout, noise_shape=(None, 1, None))

    def call(self, x: Any, mask: Any, training: bool = False) -> Any:
        a, g = ops.split(self.convolution(x), 2, axis=-1)
        g = ops.sigmoid(self.dropout(g, training=training))
        return (x + (a - x) * g) * mask


class SelfAttention(keras.layers.Layer):
    """Multi-head self-attention that never looks at padding: (B, T, D) -> (B, T, heads * size)."""

    def __init__(self, heads: int, size: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.heads, self.size = heads, size
        self.project = Dense(3 * heads * size, use_bias=False)

    def call(self, x: Any, mask: Any) -> Any:
        time = ops.shape(x)[1]
        qkv = ops.reshape(self.project(x), (-1, time, 3, self.heads, self.size))
        q, k, v = (ops.transpose(qkv[:, :, i], (0, 2, 1, 3)) for i in range(3))  # (B, heads, T, size)
        scores = q @ ops.transpose(k, (0, 1, 3, 2)) * self.size**-0.5
        scores = scores - 1e9 * (1 - ops.reshape(mask, (-1, 1, 1, time)))
        weights = ops.exp(ops.minimum(scores, 50))  # a softmax, its sum spread over `size` by a product
        probe.mark("weights", weights)  # (B, heads, T, T), from row to column, over their sum the scores
        mixed = weights @ v / (weights @ ops.ones((1, 1, time, self.size)) + 1e-9)
        return ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (-1, time, self.heads * self.size))


class TripleNetwork(keras.Model):
    """Log-probabilities of subject edges (B, T, 2), and of object edges (N, T, P, 2) given subjects.

    Inputs, a dict: ids `characters` (B, T), 0 for padding, and `words` (B, T); subjects `rows`, `starts`,
    `ends` (N,), inclusive spans of sentence `rows`; with `config.prior` also `subject_prior` (B, T, 2) and
    `object_prior` (N, T, P, 2).
    """

    def __init__(self, config: NetworkConfig, **kwargs: Any):
        super().__init__(**kwargs)
        self.config = config
        self.soft_f1 = False  # whether the loss has what F1 lacks; compile anew when it changes
        width, full = config.width, config.form == "full"
        layers = keras.layers
        self.character = layers.Embedding(config.characters, width, name="character")
        self.position = layers.Embedding(POSITIONS, width, embeddings_initializer="zeros", name="position")
        if config.words:
            self.word = layers.Embedding(config.words, config.word_size, trainable=False, name="word")
            self.word_mix = Dense(width, use_bias=False, name="word_mix")
        # With a noise shape, Keras draws from a seed that checkpoints hold on PyTorch too.
        self.dropout = layers.Dropout(config.dropout, noise_shape=(None, None, None))
        self.blocks = [
            GatedBlock(width, d, config.gate_dropout, name=f"block_{i}")
            for i, d in enumerate(config.dilations)
        ]
        self.helper = Dense(2, name="helper")
        self.subject_hidden = Convolution(width, name="subject_hidden")
        rare = keras.initializers.Constant(-3)  # edges are: the first steps need not learn that
        self.subject_edges = Dense(2, bias_initializer=rare, name="subject_edges")
        self.object_hidden = Convolution(width, name="object_hidden")
        self.object_edges = Dense(2 * config.predicates, bias_initializer=rare, name="object_edges")
        self.gate = Dense(config.predicates, name="gate")
        self.subject_shift = Dense(width, name="subject_shift")
        self.subject_scale = Dense(width, kernel_initializer="zeros", name="subject_scale")
        self.from_start = layers.Embedding(2 * REACH + 1, width, name="from_start")
        self.from_end = layers.Embedding(2 * REACH + 1, width, name="from_end")
        if full:
            self.attention = SelfAttention(config.heads, width // config.heads, name="attention")
            self.object_attention = SelfAttention(
                config.heads, width // config.heads, name="object_attention"
            )
            self.subject_reader = layers.Bidirectional(
                layers.GRU(width // 2, unroll=True), name="subject_reader"
            )
        if config.prior:
            self.object_prior = Convolution(width, name="object_prior")

    def encode(
        self, characters: Any, words: Any = None, subject_prior: Any = None, training: bool = False
    ) -> dict[str, Any]:
        """All that does not depend on a subject; `hidden`, `base` and `gate` are what `objects` reads."""
        mask = ops.expand_dims(ops.cast(characters > 0, self.compute_dtype), -1)
        wide = spread(mask, self.config.width)
        x = self.character(characters) + self.position(positions(characters))
        if self.config.words:
            x = x + self.word_mix(self.word(words))
        x = self.dropout(x, training=training) * wide
        for block in self.blocks:
            x = block(x, wide, training=training)
        full, prior = self.config.form == "full", [subject_prior] if self.config.prior else []
        helper = log_sigmoid(self.helper(x))
        views = [self.attention(x, mask) * wide] if full else []
        hidden = ops.relu(self.subject_hidden(ops.concatenate([*views, x, *prior], -1)))
        subject = log_sigmoid(self.subject_edges(hidden)) + helper
        views = [self.object_attention(x, mask) * wide] if full else []
        base = self.object_hidden(ops.concatenate([*views, x], -1))
        pooled = ops.max(x - 1e9 * (1 - wide), axis=1)
        gate = log_sigmoid(self.gate(pooled))
        return {"subject": subject, "hidden": x, "base": ops.concatenate([base, helper], -1), "gate": gate}

    def subject_vector(self, hidden: Any, rows: Any, starts: Any, ends: Any) -> Any:
        """What the network knows of each subject: (N, 2 D or D)."""
        time, width = ops.shape(hidden)[1], ops.shape(hidden)[2]
        flat, first = ops.reshape(hidden, (-1, width)), rows * time
        if self.config.form != "full":
            edges = [ops.take(flat, first + edge, axis=0) for edge in (starts, ends)]
            return ops.concatenate(edges, -1)
        fraction = ops.cast(ops.arange(0, SUBJECT_STEPS), "float32") / (SUBJECT_STEPS - 1)
        steps = ops.cast(ops.round(ops.cast(ends - starts, "float32")[:, None] * fraction), "int32")
        inside = ops.take(flat, (first + starts)[:, None] + steps, axis=0)  # (N, steps, D)
        return self.subject_reader(inside)

    def objects(
        self,
        encoded: dict[str, Any],
        characters: Any,
        rows: Any,
        starts: Any,
        ends: Any,
        object_prior: Any = None,
    ) -> Any:
        """Log-probabilities of object edges (N, T, P, 2) for subjects (N,)."""
        width = self.config.width
        subject = self.subject_vector(encoded["hidden"], rows, starts, ends)
        base = ops.take(encoded["base"], rows, axis=0)
        base, helper = base[..., :width], base[..., width:]
        time = positions(characters)  # (1, T)
        x = base * (1 + self.subject_scale(subject)[:, None]) + self.subject_shift(subject)[:, None]
        x = x + self.from_start(ops.clip(time - starts[:, None], -REACH, REACH) + REACH)
        x = x + self.from_end(ops.clip(time - ends[:, None], -REACH, REACH) + REACH)
        if self.config.prior:
            prior = ops.reshape(object_prior, (-1, ops.shape(characters)[1], 2 * self.config.predicates))
            x = x + self.object_prior(prior)
        edges = log_sigmoid(self.object_edges(ops.relu(x)))  # (N, T, 2 P), starts and ends in turn
        edges = edges + product(helper, ops.tile(ops.eye(2), (1, self.config.predicates)))
        gate = ops.repeat(ops.take(encoded["gate"], rows, axis=0), 2, axis=1)
        return ops.reshape(edges + gate[:, None], (-1, ops.shape(characters)[1], self.config.predicates, 2))

    def build(self, shape: Any = None) -> None:
        """Nothing: layers are built by the first call."""

    def call(self, inputs: dict[str, Any], training: bool = False) -> dict[str, Any]:
        characters = inputs["characters"]
        encoded = self.encode(characters, inputs.get("words"), inputs.get("subject_prior"), training)
        subjects = inputs["rows"], inputs["starts"], inputs["ends"]
        objects = self.objects(encoded, characters, *subjects, inputs.get("object_prior"))
        return {"subject": encoded["subject"], "objects": objects}

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Subject plus object cross-entropy: sums over edges and predicates, means over real characters.

        `y`: `subject` (B, T, 2) and `objects` (N, T, P, 2) in {0, 1}; `annotated` (B, P), the predicates that
        each row was annotated for; `used` (N,), 0 for an empty slot. Predicates not annotated are left out;
        since what is no subject may be one of theirs, a row's subject negatives weigh by the share annotated.
        With `self.soft_f1`, also what the smooth F1 of subject edges, and that of object edges, lack of 1.
        """
        mask = ops.cast(x["characters"] > 0, self.compute_dtype)
        share = ops.mean(y["annotated"], axis=1)[:, None, None]
        weights = ops.where(y["subject"] > 0, 1.0, share) * mask[..., None]
        edges = cross_entropy(y["subject"], y_pred["subject"])
        subject = ops.sum(edges * weights) / ops.sum(mask)
        slots = ops.take(mask, x["rows"], axis=0) * y["used"][:, None]  # (N, T)
        annotated = ops.repeat(ops.take(y["annotated"], x["rows"], axis=0), 2, axis=1)  # (N, 2 P)
        flat = (*ops.shape(slots), 2 * self.config.predicates)
        target, log_p = ops.reshape(y["objects"], flat), ops.reshape(y_pred["objects"], flat)
        edges = cross_entropy(target, log_p) * annotated[:, None]
        objects = ops.sum(ops.sum(edges, axis=2) * slots) / ops.maximum(ops.sum(slots), 1)
        loss = subject + objects
        if self.soft_f1:
            loss += lack_of_f1(y["subject"], y_pred["subject"], weights)
            loss += lack_of_f1(target, log_p, annotated[:, None] * slots[..., None])
        return loss


def log_sigmoid(x: Any) -> Any:
    """Log of the sigmoid, finite however negative `x` is: exported, Keras's own is -inf below -88."""
    return -ops.relu(-x) - ops.log1p(ops.exp(-ops.abs(x)))


def lack_of_f1(target: Any, log_p: Any, weights: Any) -> Any:
    """1 - F1 of all edges, weighted, probabilities counted as they are; 0 where there is nothing to find."""
    target, p = ops.cast(target, log_p.dtype), ops.exp(log_p)
    tp, fp, fn = (ops.sum(weights * x) for x in (target * p, (1 - target) * p, target * (1 - p)))
    return ops.where(tp + fn > 0, 1 - f_beta_of_counts(tp, fp, fn), 0.0)


def cross_entropy(target: Any, log_p: Any) -> Any:
    """Binary cross-entropy of targets in {0, 1} and log-probabilities, finite however sure the network is."""
    log_p = ops.minimum(log_p, -1e-6)
    target = ops.cast(target, log_p.dtype)
    return -(target * log_p + (1 - target) * ops.log(-ops.expm1(log_p)))
