"""Sums over the pairs that each node is in, and over the two ends of each pair."""

import functools
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

_T = TypeVar("_T", bound="Movable")


class Movable:
    """A dataclass of tensors."""

    def to(self: _T, device: torch.device | str) -> _T:
        """The same on another device."""
        return type(self)(*(getattr(self, f.name).to(device) for f in fields(self)))  # type: ignore[arg-type]


class _Sum(torch.autograd.Function):
    """Weighted segment sum, ``out[k] = sum_i w[i] rows[index[i]]`` over bag k, by ``embedding_bag``: several times as fast as
    ``index_select`` and ``index_add``. Its gradient is such a sum too, over the bags of the transposed matrix, which are at hand here.

    Bags are (index, where each begins or None if the index has a row for each, weight or None).
    """

    Bags = tuple[Tensor, Tensor | None, Tensor | None]

    @staticmethod
    def forward(ctx: Any, rows: Tensor, bags: Bags, transposed: Bags) -> Tensor:
        ctx.bags = bags, transposed
        return _sum(rows, bags, transposed)

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> tuple[Tensor, None, None]:
        bags, transposed = ctx.bags
        return _sum(gradient[0].contiguous(), transposed, bags), None, None


def _sum(rows: Tensor, bags: _Sum.Bags, transposed: _Sum.Bags) -> Tensor:
    """:class:`_Sum`, without the cost of a call of it where no gradient is asked for."""
    if torch.is_grad_enabled():
        return _Sum.apply(rows, bags, transposed)
    index, first, weight = bags
    return embedding_bag(index, rows, first, mode="sum", per_sample_weights=weight)


@dataclass(frozen=True)
class Incidence(Movable):
    """Which pairs each node is in: to sum over them, or over the ends of pairs, in one pass through memory.

    Attributes:
        ends: nodes i, j of each pair.
        pair: pairs of the first node, then those of the second, ...; m = 2 E of them.
        sign: 1 where that node is i, -1 where it is j.
        first: where in ``pair`` those of each node begin.
    """

    ends: Int[Tensor, "E 2"]
    pair: Int[Tensor, " m"]
    sign: Float[Tensor, " m"]
    first: Int[Tensor, " n"]

    @functools.cached_property
    def end_sign(self) -> Float[Tensor, "E 2"]:
        """The sign of each end: 1 of i, -1 of j."""
        return self.sign.new_tensor([1, -1]).repeat(len(self.ends), 1)

    def over_ends(self, h: Float[Tensor, "n c"]) -> Float[Tensor, "E c"]:
        """h_i + h_j."""
        return _sum(h, (self.ends, None, None), (self.pair, self.first, None))

    def over_pairs(self, e: Float[Tensor, "E c"]) -> Float[Tensor, "n c"]:
        """sum_j e_ij of symmetric e."""
        return _sum(e, (self.pair, self.first, None), (self.ends, None, None))

    def over_antisymmetric_pairs(self, e: Float[Tensor, "E c"]) -> Float[Tensor, "n c"]:
        """sum_j e_ij where e_ji = -e_ij."""
        return _sum(e, (self.pair, self.first, self.sign.to(e.dtype)), (self.ends, None, self.end_sign.to(e.dtype)))


def incidence(pair: Int[Tensor, "2 E"], n: int) -> Incidence:
    """The incidence of pairs of ``n`` nodes."""
    node = pair.reshape(-1)
    order = torch.argsort(node, stable=True)
    second = (order >= pair.shape[1]).long()
    count = torch.bincount(node, minlength=n)
    return Incidence(
        ends=pair.T.contiguous(),
        pair=order - pair.shape[1] * second,
        sign=(1 - 2 * second).float(),
        first=count.cumsum(0) - count,
    )
