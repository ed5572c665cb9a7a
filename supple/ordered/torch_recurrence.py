"""The recurrence of ON-LSTM on PyTorch, for tensors that `torch_compiled` does not take: steps of few calls.

A call takes longer than what it computes, so that what `supple.ordered.equations` has twice, for master input
and master forget, for input and forget, is a pair here (B, 2, …), which one call computes. Calls write into
memory that is there, and views of it are made for a block of steps at once, as is what a step multiplies
gradients by.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from supple.ordered.torch_products import by_onednn, onednn, packed, product

sigmoid_back, tanh_back = torch.ops.aten.sigmoid_backward.grad_input, torch.ops.aten.tanh_backward.grad_input
BLOCK = 16  # steps: fewer are more calls, more leave the cache


def forward(
    form: tuple[str, bool], zx: Any, u: Any, h0: Any, c0: Any, *mask: Any, keep: bool = True
) -> tuple[Any, Any]:
    """As that of `supple.ordered.recurrence`; without `keep` there is nothing for a gradient."""
    (steps, rows, width), size, sums, hard = zx.shape, c0.shape[1], summing(form[0], u, c0), form[1]
    n, kept = len(sums) // 2, steps if keep else 1
    # Of all steps: the softmaxes of the masters, and σ(z) with ĉ in its place, of which a step has use only
    # once; ĩ and f̃; h and c.
    p = c0.new_empty(kept, rows, 2, n).expand(steps, -1, -1, -1)
    sigmoids = c0.new_empty(kept, rows, width).expand(steps, -1, -1)
    gates = sigmoids[:, :, 2 * n :].unflatten(2, (4, size))
    levels = c0.new_empty(steps, rows, 2 * n)
    h_all, c_all = (first.new_empty(1 + steps, rows, size) for first in (h0, c0))
    h_all[0], c_all[0] = h0, c0
    # Of one: z; ĩ and f̃ for a cell; ω; b and a; tanh(c).
    times_u, z = Times(u.T, h0), c0.new_empty(rows, width)
    masters, t = c0.new_empty(rows, 2, size), torch.empty_like(c0)
    both, shares = torch.empty_like(masters[:, :1]), torch.empty_like(masters)
    z_masters, z_c_hat = z[:, : 2 * n].view(rows, 2, n), z[:, 2 * n + size : 2 * n + 2 * size]
    cells, (i_master, f_master) = masters.view(rows, 2 * n, size // n), masters.split(1, 1)
    b, a = shares.unbind(1)
    h_split = times_u.split(h_all)
    parts = zx, h_all[1:], h_split[1:], c_all[1:], p, p.flatten(2), levels, levels[..., None], sigmoids
    in_turn = steps_of(*parts, gates[:, :, 0], gates[:, :, 1], gates[:, :, 2:], *mask)
    h, h_parts, c = h0, h_split[0], c0
    with torch.inference_mode():  # in which calls are shorter, of views made in it too
        for x, h_now, next_parts, c_now, p_now, p_flat, level, column, g, o, c_hat, i_f, *here in in_turn:
            add(x, times_u(h_parts), out=z)
            torch.softmax(z_masters, -1, out=p_now)
            torch.sigmoid(z, out=g)  # whole, as two threads then share it
            torch.tanh(z_c_hat, out=c_hat)
            torch.mm(p_flat, sums, out=level)
            cells.copy_(column.gt_(0.5) if hard else column)
            torch.mul(i_master, f_master, out=both)
            torch.sub(masters, both, out=shares).addcmul_(both, i_f)
            torch.mul(b, c_hat, out=c_now).addcmul_(a, c)
            torch.mul(o, torch.tanh(c_now, out=t), out=h_now)
            if here:
                torch.where(here[0], h_now, h, out=h_now)
                torch.where(here[0], c_now, c, out=c_now)
            h, h_parts, c = h_now, next_parts, c_now
    d = 1 - levels[..., n:].mean(-1)
    if mask:
        d = d.where(mask[0][..., 0], 0.0)
    return (h_all[1:], c_all[-1].clone(), d), (p, levels, gates, c_all, h_all, u, *mask)


def backward(form: tuple[str, bool], kept: Any, gradient: Any) -> tuple[Any, ...]:
    """The gradients of the arguments of `forward` from those of its value."""
    p, levels, gates, c_all, h_all, u, *mask = kept
    by_h, dc, by_d = gradient
    (steps, rows, _, n), size, sums = p.shape, c_all.shape[2], summing(form[0], u, c_all)
    empty, sums_t, times_u_t = c_all.new_empty, sums.T.contiguous(), Times(u, by_h[0])
    if mask:
        by_d, p = by_d.where(mask[0][..., 0], 0.0), p.where(mask[0][..., None], 0.0)
    by_p = by_d[..., None] * (-sums[:, n:].sum(1) / n)  # of levels alone
    dh, by_h = by_h[-1].to(dc.dtype), [torch.zeros_like(by_h[0]), *by_h[:-1]]
    # Of all steps: dz, and its parts. Of one: dc; gradients by ĩ and f̃, of a cell and of a level; those by p.
    dz = u.new_empty(steps, rows, u.shape[1])
    dz_masters, dz_gates = dz[..., : 2 * n].unflatten(2, (2, n)), dz[..., 2 * n :].unflatten(2, (4, size))
    dz_parts = times_u_t.split(dz), dz_masters, dz_gates[:, :, 0], dz_gates[:, :, 1:]
    dc_now, by_cells = empty(rows, size), empty(rows, 2, size)
    by_levels, d_p = empty(rows, 2 * n), empty(rows, 2, n)
    dc_pair, chunks, ones = dc_now[:, None], by_cells.view(-1, size // n), c_all.new_ones(size // n, 1)
    by_chunks, d_p_flat = by_levels.view(-1, 1), d_p.flatten(1)
    room = [empty(min(steps, BLOCK), rows, count, size) for count in ROOM]
    with torch.inference_mode():
        for start in reversed(range(0, steps, BLOCK)):
            block = slice(start, start + BLOCK)
            masters, here = levels[block].unflatten(2, (2, n)), [m[block] for m in mask]
            found = slopes(room, masters, gates[block], c_all[:-1][block], c_all[1:][block], *here)
            of_steps = [x[block] for x in (by_h, *dz_parts, by_p, p)]
            stays = [(~m).to(dc.dtype) for m in here]
            backwards = reversed([*zip(*of_steps, *found, *stays, strict=True)])
            for by_h_before, dz_now, dz_m, dz_o, dz_others, by_p_now, p_now, *rest in backwards:
                dc_by_h, o_by_h, others_by_c, masters_by_c, before, *stay = rest
                torch.addcmul(dc, dh, dc_by_h, out=dc_now)
                torch.mul(dh, o_by_h, out=dz_o)
                torch.mul(dc_pair, others_by_c, out=dz_others)
                torch.mul(dc_pair, masters_by_c, out=by_cells)
                torch.mm(chunks, ones, out=by_chunks)
                torch.addmm(by_p_now, by_levels, sums_t, out=d_p_flat)
                dz_m.copy_(torch._softmax_backward_data(d_p, p_now, -1, dc.dtype))
                dc = dc_now * before
                dh_before = add(by_h_before, times_u_t(dz_now)).to(dc.dtype)
                dh = dh_before.addcmul_(dh, *stay) if stay else dh_before
    du = product(h_all[:-1].flatten(0, 1).T, dz.flatten(0, 1))
    return dz, du, dh.to(h_all.dtype, copy=True), dc.clone(), *(None for _ in mask)


ROOM = 1, 1, 3, 2, 1, 2, 1, 1  # numbers a cell: the five slopes, then what they are made of


def slopes(room: list[Any], masters: Any, gates: Any, c_before: Any, c: Any, *mask: Any) -> tuple[Any, ...]:
    """What gradients are multiplied by in L steps, from ĩ and f̃ (L, B, 2, n), the gates (L, B, 4, D) and c.

    By dh: for dc, and for dz of o. By dc then: for dz of ĉ, i and f (L, B, 3, D); for the gradients by ĩ and
    f̃, summed over chunks (L, B, 2, D); for dc of the step before. Where `mask` (L, B, 1) is False, c stays.
    """
    for_c, for_o, for_others, for_masters, before, repeated, both, t = (x[: len(c)].squeeze(2) for x in room)
    repeated.unflatten(3, (masters.shape[3], -1)).copy_(masters[..., None])
    (o, c_hat, i, f), (i_master, f_master) = gates.unbind(2), repeated.unbind(2)
    (for_c_hat, for_i, for_f), (for_i_master, for_f_master) = for_others.unbind(2), for_masters.unbind(2)
    torch.mul(i_master, f_master, out=both)
    torch.tanh(c, out=t)
    tanh_back(o, t, grad_input=for_c)
    sigmoid_back(t, o, grad_input=for_o)
    torch.sub(f_master, both, out=before).addcmul_(both, f)  # a
    torch.sub(i_master, both, out=for_c_hat).addcmul_(both, i)  # b
    tanh_back(for_c_hat, c_hat, grad_input=for_c_hat)
    torch.addcmul(c_hat, c_hat, i, value=-1, out=for_i)
    torch.addcmul(c_before, c_before, f, value=-1, out=for_f)
    torch.add(for_i, for_f, out=t)  # ĉ (1 - i) + c₋ (1 - f)
    torch.addcmul(c_hat, f_master, t, value=-1, out=for_i_master)
    torch.addcmul(c_before, i_master, t, value=-1, out=for_f_master)
    for_others[:, :, 1:].mul_(both[:, :, None]).mul_(gates[:, :, 2:])
    for away in (~m for m in mask):
        for slope in for_c, for_o, *for_others.unbind(2), *for_masters.unbind(2):
            slope.masked_fill_(away, 0.0)
        before.masked_fill_(away, 1.0)
    return for_c, for_o, for_others, for_masters, before


def steps_of(*parts: Any) -> Iterator[tuple[Any, ...]]:
    """Each step of (T, …), by views of a block: those of all would wake the garbage collector."""
    for start in range(0, len(parts[0]), BLOCK):
        yield from zip(*(part[start : start + BLOCK] for part in parts), strict=True)


class Times:
    """Products x wᵀ of the x (B, K) of many steps, in turn.

    By MKL it is a sum of the products of halves, which takes less time than one, whose threads share each.
    """

    def __init__(self, w: Any, rows: Any) -> None:
        self.whole = by_onednn(w)
        if self.whole:
            self.w = packed(w) if w.is_contiguous() else w  # to turn it takes longer than what that gains
        else:
            self.w = in_parts(w).transpose(1, 2).contiguous()
            self.products = w.new_empty(len(self.w), len(rows), w.shape[0])
            self.summands = self.products.unbind()

    def split(self, x: Any) -> Any:
        """x (T, B, K) as steps are to be given."""
        return x if self.whole else in_parts(x, 1)

    def __call__(self, x: Any) -> tuple[Any, ...]:
        """What x wᵀ is the sum of."""
        if self.whole:
            return (onednn(x, self.w),)
        torch.bmm(x, self.w, out=self.products)
        return self.summands


def in_parts(x: Any, dim: int = 0) -> Any:
    """x (…, K) as (2, …, K / 2), or (1, …, K) if K is odd; the new dimension is `dim`."""
    return x.unflatten(-1, (1 if x.shape[-1] % 2 else 2, -1)).movedim(-2, dim)


def add(x: Any, summands: Any, out: Any = None) -> Any:
    """x + Σ summands."""
    total = torch.add(x, summands[0], out=out)
    for summand in summands[1:]:
        total.add_(summand)
    return total


def summing(master_input: str, u: Any, c: Any) -> Any:
    """The matrix (2n, 2n) by which the softmaxes of both masters become ĩ and f̃."""
    n = (u.shape[1] - 4 * u.shape[0]) // 2
    ones = c.new_ones(n, n)
    return torch.block_diag(ones.tril(-1 if master_input == "paper" else 0), ones.triu())
