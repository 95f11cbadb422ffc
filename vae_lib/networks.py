"""Layers that hold one set of weights per ensemble member, and the bodies built from them.

A layer maps (members, batch, in) to (members, batch, out) in one batched matrix product: ten seeds cost little more
than one. Weights are drawn by `initialise` from one generator per member, so that a member does not depend on its
company.
"""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vae_lib.elbo import Gaussian

Generators = Sequence[torch.Generator]


def normal(generators: Generators, *shape: int) -> Tensor:
    """Standard normal draws of shape (members, *shape), each member from its own generator."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])


def dropout_mask(generators: Generators, *shape: int, share: float) -> Tensor:
    """Zeros for a `share` of the units and 1/(1 − share) elsewhere, shape (members, *shape).

    A unit is decided by sixteen random bits, which are drawn five times faster than a uniform number each.
    """
    size = math.prod(shape)
    words = torch.empty(len(generators), math.ceil(size / 4), dtype=torch.int64)
    for row, generator in zip(words, generators, strict=True):
        row.random_(-(2**63), None, generator=generator)
    bits = words.view(torch.int16)[:, :size].view(len(generators), *shape)
    return (bits >= round(share * 2**16) - 2**15).float().mul_(1.0 / (1.0 - share))


class EnsembleLinear(nn.Module):
    """An affine map per member: ``y[m] = x[m] W[m] + b[m]``."""

    def __init__(self, members: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, in_features, out_features))
        self.bias = nn.Parameter(torch.empty(members, 1, out_features))

    def initialise(self, generators: Generators) -> None:
        """Draw weights and biases from U(−1/√in, 1/√in), the default of ``torch.nn.Linear``."""
        bound = self.weight.shape[1] ** -0.5
        with torch.no_grad():
            for member, generator in enumerate(generators):
                self.weight[member].uniform_(-bound, bound, generator=generator)
                self.bias[member].uniform_(-bound, bound, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map (members, batch, in) to (members, batch, out)."""
        return torch.baddbmm(self.bias, x, self.weight)

    def extra_repr(self) -> str:
        """Sizes, for ``repr``."""
        members, in_features, out_features = self.weight.shape
        return f"members={members}, in_features={in_features}, out_features={out_features}"


class MLP(nn.Module):
    """Affine layers, each followed by ReLU and, while training, dropout."""

    def __init__(self, members: int, widths: Sequence[int], *, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EnsembleLinear(members, before, after) for before, after in itertools.pairwise(widths)
        )
        self.dropout = dropout

    def forward(self, x: Tensor, generators: Generators | None = None) -> Tensor:
        """Map (members, batch, widths[0]) to (members, batch, widths[-1]); without generators nothing is dropped."""
        for layer in self.layers:
            x = torch.relu(layer(x))
            if self.dropout and generators is not None:
                x = x * dropout_mask(generators, *x.shape[1:], share=self.dropout)
        return x


class Encoder(nn.Module):
    """A body and a head: x ↦ the posterior of its latents, or a point where `point` is set."""

    def __init__(self, members: int, body: nn.Module, body_width: int, latent_dim: int, *, point: bool = False) -> None:
        super().__init__()
        self.body = body
        self.mean = EnsembleLinear(members, body_width, latent_dim)
        self.log_var = None if point else EnsembleLinear(members, body_width, latent_dim)

    def forward(self, x: Tensor, generators: Generators | None = None) -> Gaussian:
        """Give the posterior of (members, batch, ...) inputs, each parameter of shape (members, batch, latent)."""
        hidden = self.body(x, generators)
        return Gaussian(self.mean(hidden), None if self.log_var is None else self.log_var(hidden))


class Decoder(nn.Module):
    """A body and an affine output: latents ↦ the mean of x."""

    def __init__(self, members: int, body: nn.Module, body_width: int, out_features: int) -> None:
        super().__init__()
        self.body = body
        self.output = EnsembleLinear(members, body_width, out_features)

    def forward(self, latent: Tensor, generators: Generators | None = None) -> Tensor:
        """Map (members, batch, latent) to (members, batch, out_features)."""
        return self.output(self.body(latent, generators))


def initialise(network: nn.Module, generators: Generators) -> None:
    """Draw the weights of every layer of `network`, in order of definition, each member from its own generator."""
    for module in network.modules():
        if isinstance(module, EnsembleLinear):
            module.initialise(generators)
