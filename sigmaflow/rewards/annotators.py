"""What each annotator adds to the common opinion: learnt beside a reward, never part of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AnnotatorBias(nn.Module):
    """A direction of the shared features for each of A annotators, whom the paper leaves to future
    work (section 5): annotator u scores a shape s + f . (w_u - mean of w).

    Directions start at zero and sum to nothing, so the common opinion stays in the scalar head and
    a single annotator changes nothing at all. A constant each would cancel in every pair.
    """

    def __init__(self, annotators: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(annotators, features))

    def forward(self, features: Tensor, who: Tensor) -> Tensor:
        """Features `[n, K, T]` and annotators `[n]` -> what is added to the scores, `[n, K]`."""
        apart = self.weight - self.weight.mean(0)
        return torch.einsum("nkt,nt->nk", features, apart[who])

    def length(self) -> Tensor:
        """Mean squared length of the directions, which the loss keeps small."""
        return self.weight.square().sum(1).mean()
