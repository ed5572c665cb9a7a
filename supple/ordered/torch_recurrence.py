"""The recurrence of ON-LSTM on PyTorch, where a call takes longer than what it computes: steps of few calls.

What `supple.ordered.equations` has twice, for master input and master forget, for input and forget, is a pair
here (B, 2, …), which one call computes. Calls write into memory that is there, and views of it are made for
all steps at once. What a step multiplies gradients by is computed for a block of steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

sigmoid_back, tanh_back = torch.ops.aten.sigmoid_backward.grad_input, torch.ops.aten.tanh_backward.grad_input
BLOCK = 24  # steps: fewer are more calls, more leave the cache


def forward(
    form: tuple[str, bool], zx: Any, u: Any, h0: Any, c0: Any, *mask: Any, keep: bool = True
) -> tuple[Any, Any]:
    """As that of `supple.ordered.recurrence`; without `keep` there is nothing for a gradient."""
    (steps, rows, width), size, sums, hard = zx.shape, c0.shape[1], summing(form[0], u, c0), form[1]
    n = len(sums) // 2
    # Of all steps: the softmaxes of the masters; o, ĉ, i and f, of which a step has use only once; h and c.
    p = c0.new_empty(steps, rows, 2, n)
    gates = c0.new_empty(steps if keep else 1, rows, 4, size).expand(steps, -1, -1, -1)
    h_all, c_all = zx.new_empty(steps, rows, size), c0.new_empty(1 + steps, rows, size)
    # Of one: z; ĩ and f̃, for a level and for a cell; ω; b and a; tanh(c).
    z, levels, masters = c0.new_empty(rows, width), c0.new_empty(rows, 2 * n), c0.new_empty(rows, 2, size)
    both, shares, t = torch.empty_like(masters[:, :1]), torch.empty_like(masters), torch.empty_like(c0)
    z_masters, z_gates = z[:, : 2 * n].view(rows, 2, n), z[:, 2 * n :].view(rows, 4, size)
    z_c_hat, level, cells = z_gates[:, 1], levels[..., None], masters.view(rows, 2 * n, size // n)
    (i_master, f_master), (b, a) = masters.split(1, 1), shares.unbind(1)
    parts = p, p.flatten(2), gates, gates[:, :, 0], gates[:, :, 1], gates[:, :, 2:], h_all, c_all[1:]
    h, c, c_all[0] = h0, c0, c0
    with torch.inference_mode():  # in which calls are shorter
        for x, p_now, p_flat, g, o, c_hat, i_and_f, h_now, c_now, *here in in_turn(zx, *parts, *mask):
            add_product(x, h, u, out=z)
            torch.softmax(z_masters, -1, out=p_now)
            torch.sigmoid(z_gates, out=g)
            torch.tanh(z_c_hat, out=c_hat)
            torch.mm(p_flat, sums, out=levels)
            cells.copy_(level > 0.5 if hard else level)
            torch.mul(i_master, f_master, out=both)
            torch.sub(masters, both, out=shares).addcmul_(both, i_and_f)
            torch.mul(b, c_hat, out=c_now).addcmul_(a, c)
            torch.mul(o, torch.tanh(c_now, out=t), out=h_now)
            if here:
                torch.where(here[0], h_now, h, out=h_now)
                torch.where(here[0], c_now, c, out=c_now)
            h, c = h_now, c_now
    d = 1 - masters_of(p, sums, hard)[:, :, 1].mean(-1)
    if mask:
        d = d.where(mask[0][..., 0], 0.0)
    return (h_all, c_all[-1].clone(), d), (p, gates, c_all, h_all, u, h0, *mask)


def backward(form: tuple[str, bool], kept: Any, gradient: Any) -> tuple[Any, ...]:
    """The gradients of the arguments of `forward` from those of its value."""
    p, gates, c_all, h_all, u, h0, *mask = kept
    by_h, dc, by_d = gradient
    (steps, rows, _, n), size, sums, hard = p.shape, c_all.shape[2], summing(form[0], u, c_all), form[1]
    empty, sums_t, u_t = c_all.new_empty, sums.T.contiguous(), u.T.contiguous()
    if mask:
        by_d, p = by_d.where(mask[0][..., 0], 0.0), p.where(mask[0][..., None], 0.0)
    by_p = by_d[..., None] * (-sums[:, n:].sum(1) / n)  # of levels alone
    dh, by_h = by_h[-1].to(dc.dtype), torch.cat([torch.zeros_like(by_h[:1]), by_h[:-1]])
    # Of all steps: dz, and its parts. Of one: dc; gradients by ĩ and f̃, of a cell and of a level; those by p.
    dz = u.new_empty(steps, rows, u.shape[1])
    dz_masters, dz_gates = dz[..., : 2 * n].unflatten(2, (2, n)), dz[..., 2 * n :].unflatten(2, (4, size))
    dz_parts = dz, dz_masters, dz_gates[:, :, 0], dz_gates[:, :, 1:]
    dc_now, by_cells = empty(rows, size), empty(rows, 2, size)
    by_levels, d_p = empty(rows, 2 * n), empty(rows, 2, n)
    dc_pair, chunks, ones = dc_now[:, None], by_cells.view(-1, size // n), c_all.new_ones(size // n, 1)
    by_chunks, d_p_flat = by_levels.view(-1, 1), d_p.flatten(1)
    room = [empty(min(steps, BLOCK), rows, count, size) for count in ROOM]
    with torch.inference_mode():
        for start in reversed(range(0, steps, BLOCK)):
            block = slice(start, start + BLOCK)
            masters, here = masters_of(p[block], sums, hard), [m[block] for m in mask]
            found = slopes(room, masters, gates[block], c_all[:-1][block], c_all[1:][block], *here)
            of_steps = [x[block] for x in (*dz_parts, by_p, p, by_h)]
            stays = [(~m).to(dc.dtype) for m in here]
            backwards = reversed([*in_turn(*of_steps, *found, *stays)])
            for dz_now, dz_m, dz_o, dz_others, by_p_now, p_now, by_h_now, *rest in backwards:
                dc_by_h, o_by_h, others_by_c, masters_by_c, before, *stay = rest
                torch.addcmul(dc, dh, dc_by_h, out=dc_now)
                torch.mul(dh, o_by_h, out=dz_o)
                torch.mul(dc_pair, others_by_c, out=dz_others)
                torch.mul(dc_pair, masters_by_c, out=by_cells)
                torch.mm(chunks, ones, out=by_chunks)
                torch.addmm(by_p_now, by_levels, sums_t, out=d_p_flat)
                dz_m.copy_(torch._softmax_backward_data(d_p, p_now, -1, dc.dtype))
                dc = dc_now * before
                dh_before = torch.addmm(by_h_now, dz_now, u_t).to(dc.dtype)
                dh = dh_before.addcmul_(dh, *stay) if stay else dh_before
    du = torch.addmm(h0.T @ dz[0], h_all[:-1].flatten(0, 1).T, dz[1:].flatten(0, 1))
    return dz, du, dh.to(h0.dtype, copy=True), dc.clone(), *(None for _ in mask)


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


def in_turn(*parts: Any) -> Iterator[tuple[Any, ...]]:
    """Each step of (T, …)."""
    return zip(*(part.unbind() for part in parts), strict=True)


def add_product(x: Any, h: Any, u: Any, out: Any) -> Any:
    """x + h u; `out` may be of a wider dtype, which `addmm` refuses."""
    return torch.addmm(x, h, u, out=out) if out.dtype == u.dtype else out.copy_(torch.addmm(x, h, u))


def masters_of(p: Any, sums: Any, hard: bool) -> Any:
    """ĩ and f̃ of their softmaxes (T, B, 2, n)."""
    masters = (p.flatten(2) @ sums).view(p.shape)
    return (masters > 0.5).to(p.dtype) if hard else masters


def summing(master_input: str, u: Any, c: Any) -> Any:
    """The matrix (2n, 2n) by which the softmaxes of both masters become ĩ and f̃."""
    n = (u.shape[1] - 4 * u.shape[0]) // 2
    ones = c.new_ones(n, n)
    return torch.block_diag(ones.tril(-1 if master_input == "paper" else 0), ones.triu())
