"""The recurrence beside steps written out, its gradient beside autodiff's, and what each form can do."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras import ops

from supple.ordered.equations import step
from supple.ordered.recurrence import RECURRENCES, differentiable, recurrence
from supple.sampling.autodiff import gradients
from tests.numerics import BACKEND, compiled, double, numpy

pytestmark = pytest.mark.backend

T, B, N, CHUNK = 3, 2, 3, 4
D = N * CHUNK
WIDTH = 4 * D + 2 * N
FORMS = [("symmetric", False), ("paper", False), ("symmetric", True)]
every_form = pytest.mark.parametrize(("master_input", "hard"), FORMS)
STEPS = {form: compiled(partial(step, master_input=form[0], hard=form[1])) for form in FORMS}


def reals(*shape: int) -> Any:
    return arrays("float64", shape, elements=st.floats(-6, 6))


def sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def one_cell(z: np.ndarray, c: np.ndarray, k: int, form: tuple[str, bool]) -> tuple[float, float, float]:
    """h and c of cell k of one sequence, and the level, each as its equation has it."""
    p_i, p_f = (np.exp(part) / np.exp(part).sum() for part in (z[:N], z[N : 2 * N]))
    master_f = [sum(p_f[: j + 1]) for j in range(N)]
    symmetric = form[0] == "symmetric"
    master_i = [sum(p_i[j:]) if symmetric else 1 - sum(p_i[: j + 1]) for j in range(N)]
    if form[1]:
        master_f, master_i = np.round(master_f), np.round(master_i)
    o, c_hat, i, f = (z[2 * N + gate * D + k] for gate in range(4))
    here_f, here_i = master_f[k // CHUNK], master_i[k // CHUNK]
    both = here_f * here_i
    forget = both * sigmoid(f) + here_f - both
    write = both * sigmoid(i) + here_i - both
    c_now = forget * c[k] + write * np.tanh(c_hat)
    return sigmoid(o) * np.tanh(c_now), c_now, 1 - np.mean(master_f)


@every_form
@settings(max_examples=25)
@given(z=reals(WIDTH), h=reals(D), c=reals(D))
def test_a_step_is_its_equations(
    master_input: str, hard: bool, z: np.ndarray, h: np.ndarray, c: np.ndarray
) -> None:
    form = master_input, hard
    with double():
        values = STEPS[form](*map(ops.convert_to_tensor, (z[None], h[None], c[None])))
        found = [numpy(y)[0] for y in values[:3]]
    for k in range(D):
        want = one_cell(z, c, k, form)
        np.testing.assert_allclose([found[0][k], found[1][k], found[2]], want, atol=1e-12)


def draw(seed: int = 0, size: int = D) -> list[np.ndarray]:
    """W x + b, U, h₀ and c₀."""
    rng, width = np.random.default_rng(seed), 4 * size + 2 * N
    return [rng.normal(size=shape) for shape in ((T, B, width), (size, width), (B, size), (B, size))]


def mask() -> np.ndarray:
    return np.array([[0, 1], [1, 1], [1, 0]], bool)[..., None]


def plain(zx: Any, u: Any, h: Any, c: Any, *masks: Any, **form: Any) -> tuple[Any, Any, Any]:
    """What `recurrence` gives, by T steps that autodiff goes through."""
    outputs, levels = [], []
    for t in range(T):
        h, c, d, _ = step(zx[t] + h @ u, h, c, *[m[t] for m in masks], **form)
        outputs.append(h)
        levels.append(d)
    return ops.stack(outputs), c, ops.stack(levels)


def score(f: Any, masks: list[np.ndarray], size: int = D) -> Any:
    """A function of all that f gives and takes, with each number's weight its own."""
    rng = np.random.default_rng(1)
    weights = [rng.normal(size=shape) for shape in ((T, B, size), (B, size), (T, B))]

    def scored(*x: Any) -> tuple[Any, Any]:
        values = f(*x, *map(ops.convert_to_tensor, masks))
        weighted = [ops.sum(y * ops.convert_to_tensor(w)) for y, w in zip(values, weights, strict=True)]
        return sum(weighted), values

    return scored


@pytest.mark.parametrize(("hard", "size"), [(False, D), (True, D), (False, D + N)])
def test_the_gradient_is_that_of_autodiff(hard: bool, size: int) -> None:
    """With a mask, and of odd units; without one, in the form of the paper, the published layers have it."""
    masks = [mask()]
    found, want = (
        compiled(lambda *x, f=f: gradients(score(partial(f, hard=hard), masks, size), x))
        for f in (recurrence, plain)
    )
    with double():
        x = [ops.convert_to_tensor(part) for part in draw(0, size)]
        (by_x, values), (want_by_x, want_values) = found(*x), want(*x)
    for got, expected in zip([*by_x, *values], [*want_by_x, *want_values], strict=True):
        got, expected = (numpy(ops.stop_gradient(part)) for part in (got, expected))
        assert got.dtype == "float64" and np.abs(expected).max() > 0
        np.testing.assert_allclose(got, expected, atol=1e-12)


def test_a_second_derivative_is_right_or_an_error() -> None:
    """Of the gradient by U, in a direction."""
    zx, u, h, c = draw()
    scored = score(recurrence, [])
    if BACKEND == "jax":
        import jax

        direction = np.random.default_rng(2).normal(size=u.shape)
        with double():
            slope = jax.jit(jax.grad(lambda u: scored(zx, u, h, c)[0]))
            found = jax.jit(jax.grad(lambda u: ops.sum(slope(u) * direction)))(u)
            want = (slope(u + 1e-5 * direction) - slope(u - 1e-5 * direction)) / 2e-5
            np.testing.assert_allclose(found, want, atol=1e-7)
    elif BACKEND == "tensorflow":
        import tensorflow as tf

        matrix = tf.convert_to_tensor(u)
        with tf.GradientTape() as tape:
            tape.watch(matrix)
            (slope,), _ = gradients(lambda u: scored(zx, u, h, c), [matrix])
        with pytest.raises(LookupError, match="second derivative"):
            tape.gradient(slope, matrix)
    else:
        import torch

        zx, u, h, c = (torch.tensor(part, requires_grad=True) for part in (zx, u, h, c))
        with pytest.raises(RuntimeError, match="second derivative"):
            torch.autograd.grad(scored(zx, u, h, c)[0], u, create_graph=True)


@pytest.mark.skipif(BACKEND != "jax", reason="counts products in what JAX compiles")
def test_the_matrix_has_one_product_a_step_and_one_for_its_gradient() -> None:
    import jax

    def products(jaxpr: Any, loops: int) -> list[tuple[tuple[int, ...], int]]:
        """The shapes of products, with the number of loops that they are in."""
        found = []
        for eqn in jaxpr.eqns:
            if eqn.primitive.name == "dot_general":
                found.append((eqn.outvars[0].aval.shape, loops))
            inner = loops + (eqn.primitive.name == "scan")
            for part in jax.tree.leaves(list(eqn.params.values()), is_leaf=lambda p: hasattr(p, "eqns")):
                found += products(part, inner) if hasattr(part, "eqns") else []
        return found

    grad = jax.make_jaxpr(jax.grad(lambda *x: score(recurrence, [])(*x)[0], argnums=(0, 1, 2, 3)))
    found = products(grad(*(part.astype("float32") for part in draw())).jaxpr, 0)
    assert found.count(((D, WIDTH), 0)) == 1 and ((D, WIDTH), 1) not in found
    assert found.count(((B, WIDTH), 1)) == 1  # h U
    assert found.count(((B, D), 1)) == 1  # its gradient by h


@pytest.mark.parametrize("master_input", ["symmetric", "paper"])
def test_the_last_chunk_is_dead_in_the_form_of_the_paper_only(master_input: str) -> None:
    """f̃ = 1 and ĩ = 0 there, whatever z: c = c₋, so that h = 0 from zero, and no gradient comes of it."""
    dead, run = master_input == "paper", partial(recurrence, master_input=master_input)
    zx, u, h, c = draw(2)

    def last_chunk(*x: Any) -> tuple[Any, Any]:
        outputs = run(*x)[0][..., -CHUNK:]
        return ops.sum(outputs[..., 0] - 2 * outputs[..., 1]), ops.stop_gradient(outputs)

    with double():
        (*by_x, _), outputs = gradients(last_chunk, [zx, u, 0 * h, 0 * c])
        _, kept, _ = run(*map(ops.convert_to_tensor, (zx, u, h, c)))
    seen = [np.abs(numpy(part)).max() for part in (*by_x, outputs)]
    if dead:
        np.testing.assert_allclose(seen, 0, atol=1e-15)
    else:
        assert min(seen) > 0.01
    assert dead == np.allclose(numpy(kept)[:, -CHUNK:], c[:, -CHUNK:], atol=1e-14)


def test_levels_say_how_much_is_forgotten() -> None:
    """p_f all in level k, counted from 0: d = k / n."""
    z = np.zeros((N, WIDTH))
    z[:, N : 2 * N] = 1e3 * np.eye(N)
    h = np.zeros((N, D))
    _, _, d, _ = step(*(ops.convert_to_tensor(part, "float32") for part in (z, h, h)))
    np.testing.assert_allclose(numpy(d), np.arange(N) / N, atol=1e-6)


@pytest.mark.skipif(BACKEND != "torch", reason="elsewhere a compiler sees what is of no use")
def test_steps_leave_nothing_where_no_gradient_is_wanted() -> None:
    import torch

    from supple.ordered import torch_recurrence

    x = [torch.tensor(part, requires_grad=True) for part in draw()]
    want = recurrence(*x)
    with torch.no_grad():
        found = recurrence(*x)
        for keep, steps in (True, T), (False, 1):
            _, (_, _, gates, *_) = torch_recurrence.forward(("symmetric", False), *x, keep=keep)
            assert gates.untyped_storage().nbytes() == steps * 8 * B * x[0].shape[-1]
    for got, expected in zip(found, want, strict=True):
        np.testing.assert_array_equal(got, expected.detach())


@pytest.mark.skipif(BACKEND == "jax", reason="takes no blocks")
@pytest.mark.parametrize("masks", [[], [mask()]], ids=["bare", "masked"])
def test_blocks_of_steps_change_nothing(masks: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    """One after another, the last shorter, or all in one; levels count as well."""

    def run(*x: Any) -> list[Any]:
        by_x, values = gradients(score(recurrence, masks), x)
        return [*by_x, *values]

    if BACKEND == "tensorflow":  # in a graph; of all but one the number of steps and rows is unknown
        import tensorflow as tf

        shapes = (None, None, WIDTH), (D, WIDTH), (None, D), (None, D)
        signature = [tf.TensorSpec(shape, "float64") for shape in shapes]
    place = "torch_recurrence" if BACKEND == "torch" else "recurrence"
    x, found = [ops.convert_to_tensor(part) for part in draw()], []
    for size in 1, 2, T, 9:
        monkeypatch.setattr(f"supple.ordered.{place}.BLOCK", size)
        found.append((run if BACKEND == "torch" else tf.function(run, signature if size > 1 else None))(*x))
    want = run(*x)  # by single steps, on TensorFlow
    for other in found:
        for got, expected in zip(other, want, strict=True):
            got, expected = (numpy(ops.stop_gradient(part)) for part in (got, expected))
            np.testing.assert_allclose(got, expected, atol=1e-12)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="takes blocks of its own")
def test_sequences_of_known_length_are_one_block_which_nothing_is_copied_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import tensorflow as tf

    def types(*shapes: Any) -> set[str]:
        """Of what is outside of blocks."""
        f = tf.function(lambda *x: gradients(score(recurrence, []), x)[0])
        graph = f.get_concrete_function(*(tf.TensorSpec(shape, "float64") for shape in shapes)).graph
        return {op.type for op in graph.get_operations()}

    monkeypatch.setattr("supple.ordered.recurrence.BLOCK", 2)
    copies, rest = {"Pad", "StatelessWhile", "While"}, ((D, WIDTH), (B, D), (B, D))
    assert not copies & types((T, B, WIDTH), *rest)
    assert {"Pad", "StatelessWhile"} <= types((None, B, WIDTH), *rest)


@pytest.mark.skipif(BACKEND != "torch", reason="elsewhere nothing is written over")
def test_a_gradient_can_be_asked_for_twice() -> None:
    """It writes over nothing that it needs again."""
    import torch

    x = [torch.tensor(part, requires_grad=True) for part in draw()]
    scored, _ = score(recurrence, [mask()])(*x)
    first, second = (torch.autograd.grad(scored, x, retain_graph=True) for _ in range(2))
    for got, expected in zip(second, first, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.skipif(BACKEND != "torch", reason="elsewhere there is one library")
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("masks", [[], [mask()]], ids=["bare", "masked"])
def test_products_of_both_libraries_are_the_same(
    masks: list[np.ndarray], compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MKL's and oneDNN's, of inputs too; in float32, which is what oneDNN is asked for."""
    from supple.ordered import torch_compiled, torch_products
    from supple.ordered.recurrence import affine, flat

    if not compiled:
        monkeypatch.setattr(torch_compiled, "library", lambda: None)
    if torch_products.linear is None:
        pytest.skip("this PyTorch has no oneDNN")

    def layer(x: Any, w: Any, b: Any, *rest: Any) -> tuple[Any, ...]:
        return recurrence(ops.reshape(affine(flat(x), w, b), (T, B, WIDTH)), *rest)

    rng = np.random.default_rng(4)
    x = [rng.normal(size=shape) for shape in ((T, B, 5), (5, WIDTH), (WIDTH,))] + draw()[1:]
    taken, found, linear = [], [], torch_products.linear
    monkeypatch.setattr(torch_products, "linear", lambda *x: taken.append(dtype) or linear(*x))
    for dtype, amd in ("float64", True), ("float32", False), ("float32", True):
        monkeypatch.setattr(torch_products, "AMD", amd)
        given = [ops.convert_to_tensor(part, dtype) for part in x]
        by_x, values = gradients(score(layer, masks), given)
        found.append([*by_x, *values])
    assert taken == ["float32"] * (2 * T + 4)  # of a step two, of inputs three, of the matrix one
    want, *others = found
    for other in others:
        for got, expected in zip(other, want, strict=True):
            np.testing.assert_allclose(numpy(got.detach()), numpy(expected.detach()), atol=2e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("masks", [[], [mask()]], ids=["bare", "masked"])
def test_no_rows_have_no_outputs_and_a_gradient_of_zeros(masks: list[np.ndarray], dtype: str) -> None:
    def scored(*x: Any) -> tuple[Any, Any]:
        values = recurrence(*x, *(ops.convert_to_tensor(m[:, :0]) for m in masks))
        return sum(map(ops.sum, values)), values

    zx, u, h0, c0 = draw()
    with double():
        x = [ops.convert_to_tensor(part, dtype) for part in (zx[:, :0], u, h0[:0], c0[:0])]
        by_x, values = gradients(scored, x)
    assert [tuple(y.shape) for y in values] == [(T, 0, D), (0, D), (T, 0)]
    for part, found in zip(x, by_x, strict=True):
        np.testing.assert_array_equal(numpy(found), np.zeros(part.shape))


in_c = pytest.mark.skipif(BACKEND == "tensorflow", reason="XLA has them")


def c_steps() -> Any:
    """The module that has steps in C."""
    found = import_module(f"supple.ordered.{BACKEND}_compiled")
    if found.library() is None:
        pytest.skip("this machine has no C compiler")
    return found


def cc() -> str:
    """The compiler of this machine."""
    return os.environ.get("CC") or which("cc") or pytest.skip("this machine has no C compiler of its own")


@in_c
@every_form
@pytest.mark.parametrize("scale", [1, 1e3])
@pytest.mark.parametrize("masks", [[], [mask()]], ids=["bare", "masked"])
def test_steps_in_c_are_those_of_float64(
    masks: list[np.ndarray], scale: float, master_input: str, hard: bool
) -> None:
    """Gates that are half open or shut; units that fill no vector; nothing that is given changes."""
    scored = score(partial(recurrence, master_input=master_input, hard=hard), masks)
    zx, *rest = draw(5)

    def run(dtype: str) -> list[np.ndarray]:
        x = [ops.convert_to_tensor(part, dtype) for part in (scale * zx, *rest)]
        before = [numpy(part).copy() for part in x]
        assert c_steps().takes(*x[::-1]) == (dtype == "float32")
        by_x, values = gradients(scored, x)
        for part, was in zip(x, before, strict=True):
            np.testing.assert_array_equal(numpy(part), was)
        return [numpy(ops.stop_gradient(part)) for part in (*by_x, *values)]

    found = run("float32")
    with double():
        want = run("float64")
    for got, expected in zip(found, want, strict=True):
        assert got.dtype == "float32" and expected.dtype == "float64"
        np.testing.assert_allclose(got, expected, atol=3e-5)


@in_c
@pytest.mark.parametrize("compiler", ["no-such-compiler", "false", "true", "'cc", "nowhere to write"])
def test_without_a_compiler_there_are_other_steps(
    compiler: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """There is none, it fails, what it makes is no library, its name is broken, or no folder is writable.

    One is told of it.
    """
    place, x = c_steps(), [ops.convert_to_tensor(part, "float32") for part in draw()]
    want, _ = gradients(score(recurrence, []), x)
    if compiler == "nowhere to write":
        monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    else:
        monkeypatch.setenv("CC", compiler)
    monkeypatch.setattr(place, "library", place.library.__wrapped__)
    monkeypatch.setitem(RECURRENCES, FORMS[0], differentiable(FORMS[0]))  # not what JAX has compiled before
    assert not place.takes(*x[::-1])
    assert "no C compiler serves" in caplog.text and "pip install 'supple[compiler]'" in caplog.text
    monkeypatch.setattr(place, "library", lambda: None)
    found, _ = gradients(score(recurrence, []), x)
    for got, expected in zip(found, want, strict=True):
        np.testing.assert_allclose(numpy(got), numpy(expected), atol=3e-5)


@in_c
def test_a_compiler_without_openmp_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, compiler = c_steps(), tmp_path / "cc"
    compiler.write_text(f'#!/bin/sh\nfor x; do [ "$x" = -fopenmp ] && exit 1; done\nexec {cc()} "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    assert place.library.__wrapped__() is not None


@in_c
def test_where_there_is_no_cc_that_of_the_package_ziglang_serves() -> None:
    """The test of values above passes, in a process that finds no other, nor a home to write to."""
    pytest.importorskip("ziglang")
    test = f"{__file__}::{test_steps_in_c_are_those_of_float64.__name__}"
    without = {"PATH": "", "HOME": "/proc/nowhere"}
    alone = {name: value for name, value in os.environ.items() if name != "CC"} | without
    command = [sys.executable, "-m", "pytest", "-q", test]
    ended = subprocess.run(command, env=alone, capture_output=True, text=True, timeout=120)
    assert "12 passed" in ended.stdout, ended.stdout


@pytest.mark.skipif(BACKEND != "jax", reason="of JAX")
@pytest.mark.parametrize("masks", [[], [mask()]], ids=["bare", "masked"])
def test_jax_derives_and_maps_steps_in_c_and_exports_what_has_none(masks: list[np.ndarray]) -> None:
    """Second derivatives are those of float64; a program without a gradient, or of many cells, calls no C."""
    import jax

    place = c_steps()
    assert place.takes(np.zeros((1, place.CELLS), "float32"))
    assert not place.takes(np.zeros((2, place.CELLS), "float32"))
    x, scored = draw(7), score(recurrence, masks)
    directions = np.random.default_rng(2).normal(size=(2, *x[1].shape))

    def second(dtype: str) -> Any:
        zx, u, h, c = (ops.convert_to_tensor(part, dtype) for part in x)
        slope = jax.grad(lambda u: scored(zx, u, h, c)[0])
        assert ("ffi_call" in str(jax.make_jaxpr(slope)(u))) == (dtype == "float32")
        along = [jax.grad(lambda u, d=d: ops.sum(slope(u) * d))(u) for d in directions.astype(dtype)]
        return numpy(ops.stack([*along, *jax.vmap(slope)(u + 0.1 * directions.astype(dtype))]))

    found = second("float32")
    with double():
        want = second("float64")
    np.testing.assert_allclose(found, want, atol=1e-4 * np.abs(want).max())
    given = [ops.convert_to_tensor(part, "float32") for part in x]
    exported = jax.export.export(jax.jit(lambda *x: scored(*x)[1]))(*given)
    assert "custom_call" not in str(exported.mlir_module())


@pytest.mark.skipif(BACKEND != "torch", reason="there is no torch.compile elsewhere")
@pytest.mark.filterwarnings("ignore")  # what torch.compile says of itself
def test_torch_compiles_what_has_the_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """With neither the steps in C nor the products of oneDNN, of which it can make nothing."""
    import torch

    from supple.ordered import ONLSTM, torch_products

    cc()  # torch.compile wants one too
    if torch_products.linear is not None:
        monkeypatch.setattr(torch_products, "AMD", True)
    layer = ONLSTM(D, CHUNK, return_sequences=True)
    x = torch.tensor(np.random.default_rng(6).normal(size=(B, T, 5)), dtype=torch.float32)
    layer.build(x.shape)
    want, found = (
        gradients(lambda x, f=f: (ops.sum(f(x) ** 2), f(x)), [x]) for f in (layer, torch.compile(layer))
    )
    for got, expected in zip([*found[0], found[1]], [*want[0], want[1]], strict=True):
        np.testing.assert_allclose(got.detach(), expected.detach(), atol=1e-5)
