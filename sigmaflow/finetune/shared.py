"""Latents and planes that several losses go back to, one after the other."""

from __future__ import annotations

import torch
from torch import Tensor

from sigmaflow.generators import TriPlaneGenerator


class Shared:
    """One pass of mapping and backbone for all losses of a sample.

    Each loss goes back to `ws` [B, num_ws, w_dim] and `planes` [B, 3, C, P, P], which are leaves,
    and its own graph is free before the next one's is made: at no time are there both the render's
    activations and the reward network's. `back` takes what they left there through the backbone.
    """

    def __init__(self, G: TriPlaneGenerator, z: Tensor, c: Tensor, noise_mode: str, remade: int):
        self.c, self.noise_mode = c, noise_mode
        self._ws = G.mapping(z, c)
        self._planes = G.planes(self._ws, noise_mode, remade)
        self.ws = self._ws.detach().requires_grad_()
        self.planes = self._planes.detach().requires_grad_()

    def back(self) -> None:
        """To the weights of mapping and backbone."""
        torch.autograd.backward(
            [self._ws, self._planes], [_gradient(self.ws), _gradient(self.planes)]
        )


def _gradient(x: Tensor) -> Tensor:
    return torch.zeros_like(x) if x.grad is None else x.grad
