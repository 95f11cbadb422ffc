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
from torch.nn import functional

from vae_lib.elbo import Gaussian

Generators = Sequence[torch.Generator]

KERNEL, STRIDE, PADDING = 4, 2, 1
"""Of every convolution, so that each one halves the image, each transposed one doubles it."""


def normal(generators: Generators, *shape: int) -> Tensor:
    """Standard normal draws of shape ``(members, *shape)``, each member from its own generator."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])


def keep_mask(generators: Generators, *shape: int, dropout: float) -> Tensor:
    """Zeros for a share `dropout` of the units and ones elsewhere, shape ``(members, *shape)``.

    A unit is decided by sixteen random bits, which are drawn five times faster than a uniform number each.
    """
    size = math.prod(shape)
    words = torch.empty(len(generators), math.ceil(size / 4), dtype=torch.int64)
    for row, generator in zip(words, generators, strict=True):
        row.random_(-(2**63), None, generator=generator)
    bits = words.view(torch.int16)[:, :size].view(len(generators), *shape)
    return torch.ge(bits, round(dropout * 2**16) - 2**15, out=torch.empty(bits.shape))


class RectifiedDropout(torch.autograd.Function):
    """ReLU and dropout in one: overwrites its input, and needs only its output for the way back."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, keep: Tensor, scale: float) -> Tensor:
        """Give ``relu(x) · keep · scale``."""
        out = x.relu_().mul_(keep).mul_(scale)
        ctx.mark_dirty(x)
        ctx.save_for_backward(out)
        ctx.scale = scale
        return out

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Pass the gradient on where the output is above zero: there, and only there, nothing was cut off."""
        (out,) = ctx.saved_tensors
        return torch.sign(out).mul_(gradient).mul_(ctx.scale), None, None


class EnsembleLinear(nn.Module):
    """An affine map per member: ``y[m] = x[m] W[m] + b[m]``."""

    def __init__(self, members: int, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, in_features, out_features))
        self.bias = nn.Parameter(torch.empty(members, 1, out_features))
        self.fan_in = in_features

    def forward(self, x: Tensor) -> Tensor:
        """Map (members, batch, in) to (members, batch, out)."""
        return torch.baddbmm(self.bias, x, self.weight)

    @property
    def shape(self) -> tuple[int]:
        """Shape of what it gives for one track."""
        return (self.weight.shape[2],)

    def extra_repr(self) -> str:
        """Sizes, for ``repr``."""
        members, in_features, out_features = self.weight.shape
        return f"members={members}, in_features={in_features}, out_features={out_features}"


class EnsembleConv(nn.Module):
    """A convolution per member that halves an image, or one that doubles it where `transposed` is set."""

    def __init__(self, members: int, in_channels: int, out_channels: int, *, transposed: bool = False) -> None:
        super().__init__()
        channels = (in_channels, out_channels) if transposed else (out_channels, in_channels)
        self.weight = nn.Parameter(torch.empty(members, *channels, KERNEL, KERNEL))
        self.bias = nn.Parameter(torch.empty(members, out_channels))
        # A pixel of a transposed convolution is reached by one in STRIDE² of the kernel's weights.
        self.fan_in = in_channels * KERNEL**2 // (STRIDE**2 if transposed else 1)
        self.transposed = transposed

    def forward(self, x: Tensor) -> Tensor:
        """Map (members, batch, in, height, width) to (members, batch, out, height / 2, width / 2), or back."""
        # A loop: one grouped convolution over all members took up to three times as long on a CPU.
        convolve = functional.conv_transpose2d if self.transposed else functional.conv2d
        return torch.stack(
            [
                convolve(images, weight, bias, stride=STRIDE, padding=PADDING)
                for images, weight, bias in zip(x, self.weight, self.bias, strict=True)
            ]
        )


class MLP(nn.Module):
    """Affine layers, each followed by ReLU and, while training, dropout.

    Without layers (a single width) it is the identity. A `context` is appended to the input.
    """

    def __init__(self, members: int, widths: Sequence[int], *, context: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.width = widths[-1] if len(widths) > 1 else widths[0] + context
        widths = [widths[0] + context, *widths[1:]]
        self.layers = nn.ModuleList(
            EnsembleLinear(members, before, after) for before, after in itertools.pairwise(widths)
        )
        self.dropout = dropout

    def forward(self, x: Tensor, generators: Generators | None = None, context: Tensor | None = None) -> Tensor:
        """Map (members, batch, in) to (members, batch, self.width); without generators nothing is dropped."""
        if context is not None:
            x = torch.cat([x, context], dim=2)
        for layer in self.layers:
            x = layer(x)
            if self.dropout and generators is not None:
                keep = keep_mask(generators, *x.shape[1:], dropout=self.dropout).to(x.device)
                x = RectifiedDropout.apply(x, keep, 1.0 / (1.0 - self.dropout))
            else:
                x = torch.relu(x)
        return x


class Convolutions(nn.Module):
    """Halve an image once per entry of `channels`, then pass its pixels through an `MLP`."""

    def __init__(
        self,
        members: int,
        image: tuple[int, int],
        channels: Sequence[int],
        widths: Sequence[int],
        *,
        context: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            EnsembleConv(members, before, after) for before, after in itertools.pairwise([1, *channels])
        )
        pixels = channels[-1] * math.prod(halved(image, len(channels)))
        self.mlp = MLP(members, [pixels, *widths], context=context, dropout=dropout)
        self.width = self.mlp.width

    def forward(self, x: Tensor, generators: Generators | None = None, context: Tensor | None = None) -> Tensor:
        """Map (members, batch, height, width) to (members, batch, self.width)."""
        x = _fill(x, len(self.layers)).unsqueeze(2)
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.mlp(x.flatten(start_dim=2), generators, context)


class TransposedConvolutions(nn.Module):
    """The mirror image of `Convolutions`: a vector to a small image with many channels, doubled until it is large."""

    def __init__(self, members: int, in_features: int, image: tuple[int, int], channels: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(image)
        self.small = (channels[-1], *halved(image, len(channels)))
        self.input = EnsembleLinear(members, in_features, math.prod(self.small))
        self.layers = nn.ModuleList(
            EnsembleConv(members, before, after, transposed=True)
            for before, after in itertools.pairwise([*reversed(channels), 1])
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (members, batch, in) to (members, batch, height, width)."""
        x = self.input(x).unflatten(2, self.small)
        for layer in self.layers:
            x = layer(torch.relu(x))
        height, width = self.shape
        return x.squeeze(2)[..., :height, :width]


def halved(image: tuple[int, int], times: int) -> tuple[int, int]:
    """Height and width of an image after halving it so many times, rounded up.

    Examples
    --------
    >>> from vae_lib import networks
    >>> networks.halved((16, 33), times=2)
    (4, 9)
    """
    return tuple(math.ceil(side / STRIDE**times) for side in image)


def _fill(x: Tensor, times: int) -> Tensor:
    """Extend images by zeros, below and at the right, until they can be halved so many times."""
    height, width = (small * STRIDE**times for small in halved(x.shape[-2:], times))
    return functional.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]))


class Encoder(nn.Module):
    """A body and a head: x ↦ the posterior of its latents, or a point where `point` is set."""

    def __init__(self, members: int, body: nn.Module, latent_dim: int, *, point: bool = False) -> None:
        super().__init__()
        self.body = body
        self.head = EnsembleLinear(members, body.width, latent_dim if point else 2 * latent_dim)
        self.point = point

    def forward(self, x: Tensor, generators: Generators | None = None, context: Tensor | None = None) -> Gaussian:
        """Give the posterior of (members, batch, ...) inputs, each parameter of shape (members, batch, latent)."""
        parameters = self.head(self.body(x, generators, context))
        return Gaussian(parameters, None) if self.point else Gaussian(*parameters.chunk(2, dim=2))


class Decoder(nn.Module):
    """A body and an output layer: latents ↦ the mean of x."""

    def __init__(self, body: nn.Module, output: nn.Module) -> None:
        super().__init__()
        self.body = body
        self.output = output

    def forward(self, latent: Tensor, generators: Generators | None = None, context: Tensor | None = None) -> Tensor:
        """Map (members, batch, latent) to (members, batch, ...)."""
        return self.output(self.body(latent, generators, context))


def initialise(network: nn.Module, generators: Generators) -> None:
    """Draw the weights of every layer of `network`, in order of definition, each member from its own generator.

    Weights and biases come from U(−1/√fan_in, 1/√fan_in), the default of ``torch.nn.Linear`` and ``Conv2d``.
    """
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, EnsembleLinear | EnsembleConv):
                for member, generator in enumerate(generators):
                    for parameter in (layer.weight, layer.bias):
                        parameter[member].uniform_(-(layer.fan_in**-0.5), layer.fan_in**-0.5, generator=generator)
