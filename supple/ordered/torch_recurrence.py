"""The recurrence of ON-LSTM on PyTorch, where a call takes longer than what it computes: steps of few calls.

What `supple.ordered.equations` has twice, for master input and master forget, for input and forget, for what
is written and what is kept, is a pair here (B, 2, …), which one call computes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

sigmoid_back, tanh_back = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward  # of dy and y


class Trace(NamedTuple):
    """What a step leaves for its gradient: pairs (B, 2, n, D / n), in float32 at least."""

    p: Any  # the softmaxes of the masters (B, 2, n)
    masters: Any  # ĩ and f̃ (B, 2, n, 1)
    others: Any  # f̃ and ĩ
    gates: Any  # i and f
    shut: Any  # the gates less 1
    parts: Any  # b / ĩ and a / f̃
    shares: Any  # b and a
    cells: Any  # ĉ and c₋
    o: Any  # this and the last (B, 1, n, D / n)
    t: Any  # tanh(c)


def forward(
    form: tuple[str, bool], zx: Any, u: Any, h0: Any, c0: Any, *mask: Any, keep: bool = True
) -> tuple[Any, Any]:
    """As that of `supple.ordered.recurrence`; without `keep` there is nothing for a gradient."""
    master_input, hard = form
    (rows, size), sums = c0.shape, summing(u, master_input, c0.dtype)
    n = len(sums) // 2
    chunk = size // n
    h, c = h0, c0.view(rows, 1, n, chunk)
    outputs, masters_f, traces = [], [], []
    for x, *now in zip(zx, *mask, strict=True):
        z = torch.addmm(x, h, u)
        z_masters, z_rest = (z if z.dtype == c.dtype else z.to(c.dtype)).split([2 * n, 4 * size], 1)
        p = z_masters.view(rows, 2, n).softmax(-1)
        masters = (p.view(rows, 2 * n) @ sums).view(rows, 2, n, 1)
        if hard:
            masters = (masters > 0.5).to(masters.dtype)
        z_o, z_cell, z_gates = z_rest.view(rows, 4, n, chunk).split([1, 1, 2], 1)
        o, gates = z_o.sigmoid(), z_gates.sigmoid()
        others, shut = masters.flip(1), gates - 1
        parts = (others * shut).add_(1)
        shares, cells = masters * parts, torch.cat([z_cell.tanh(), c], 1)
        c_now = (shares * cells).sum(1, keepdim=True)
        t = c_now.tanh()
        h_now = (o * t).view(rows, size).to(z.dtype)
        if now:
            h_now, c_now = torch.where(now[0], h_now, h), torch.where(now[0][..., None, None], c_now, c)
        h, c = h_now, c_now
        outputs.append(h)
        masters_f.append(masters[:, 1, :, 0])
        if keep:
            traces.append(Trace(p, masters, others, gates, shut, parts, shares, cells, o, t))
    levels = 1 - torch.stack(masters_f).mean(-1)
    if mask:
        levels = levels.where(mask[0][..., 0], 0.0)
    h = torch.stack(outputs)
    return (h, c.reshape(rows, size), levels), (traces, h, u, h0, c0, *mask)


def backward(form: tuple[str, bool], kept: Any, gradient: Any) -> tuple[Any, ...]:
    """The gradients of the arguments of `forward` from those of its value."""
    traces, h, u, h0, c0, *mask = kept
    by_h, by_c_last, by_d = gradient
    (rows, size), sums, u_t = c0.shape, summing(u, form[0], c0.dtype).T, u.T.contiguous()
    n = len(sums) // 2
    if mask:
        by_d = by_d.where(mask[0][..., 0], 0.0)
    by_masters = torch.stack([torch.zeros_like(by_d), -by_d / n], -1)[..., None]
    dh, dc, found = torch.zeros_like(c0), by_c_last.reshape(rows, 1, n, size // n), []
    for trace, by_h_now, d_masters, *now in reversed(list(zip(traces, by_h, by_masters, *mask, strict=True))):
        p, masters, others, gates, shut, parts, shares, cells, o, t = trace
        after, dc_after = dh + by_h_now, dc
        dh = after.view(rows, 1, n, size // n)
        dc = tanh_back(dh * o, t).add_(dc)
        d_shares = dc * cells
        d_parts = d_shares * masters
        d_masters = d_masters + (d_shares * parts).sum(-1) + (d_parts * shut).sum(-1).flip(1)
        d_p = (d_masters.view(rows, 2 * n) @ sums).view(rows, 2, n)
        d_cell, dc = (dc * shares).split([1, 1], 1)
        dz = (
            p * (d_p - (p * d_p).sum(-1, keepdim=True)),
            sigmoid_back(dh * t, o),
            tanh_back(d_cell, cells[:, :1]),
            sigmoid_back(d_parts.mul_(others), gates),
        )
        dz = torch.cat([part.flatten(1) for part in dz], 1).to(u.dtype)
        if now:
            dz = dz.where(now[0], 0.0)
            dc = dc.where(now[0][..., None, None], dc_after)
        dh = (dz @ u_t).to(dc.dtype)
        if now:
            dh = dh + after.where(~now[0], 0.0)
        found.append(dz)
    dz, h_before = torch.stack(found[::-1]), torch.cat([h0[None], h[:-1]])
    du = h_before.flatten(0, 1).T @ dz.flatten(0, 1)
    return dz, du, dh.to(h0.dtype), dc.reshape(rows, size), *(None for _ in mask)


def summing(u: Any, master_input: str, dtype: Any) -> Any:
    """The matrix (2n, 2n) by which the softmaxes of both masters become ĩ and f̃."""
    n = (u.shape[1] - 4 * u.shape[0]) // 2
    ones = torch.ones(n, n, dtype=dtype, device=u.device)
    return torch.block_diag(ones.tril(-1 if master_input == "paper" else 0), ones.triu())
