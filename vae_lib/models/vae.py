"""One variational autoencoder, composed of an encoder and a decoder for every modality.

A variant is a composition, not a subclass: an autoencoder is the `VAE` with a point for a posterior, a conditional VAE
one whose encoders and decoders are told a label, a convolutional VAE one that is given images.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vae_lib import checks
from vae_lib.checks import ParameterError
from vae_lib.models import elbo
from vae_lib.models.elbo import Gaussian
from vae_lib.models.inputs import Inputs

HALVING = {"kernel_size": 4, "stride": 2, "padding": 1}
"""Of every convolution, so that each one halves the image, each transposed one doubles it."""


WIDEST = 2**16
"""Units that a layer may have, latents, labels and components."""


class Output(NamedTuple):
    """What one pass through a `VAE` gives."""

    posterior: Gaussian  # (batch, latent)
    latent: Tensor  # (batch, latent): a sample of the posterior while training, else its mean
    divergence: Tensor  # (batch, latent), in nats; one column more, of the component, with a mixture prior
    reconstructions: dict[str, Gaussian]  # of each modality, (batch, ...)


class Encoder(nn.Module):
    """What is heard, and a label if there is one, to the parameters of the posterior."""

    def __init__(self, convolutions: nn.Module, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.convolutions, self.body, self.head = convolutions, body, head

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Map (batch, ...) to (batch, parameters)."""
        return self.head(self.body(_told(self.convolutions(x), context)))


class Decoder(nn.Module):
    """Latents, and a label if there is one, to what they sound like: a mean, and a variance if that is learnt."""

    def __init__(self, body: nn.Module, output: nn.Module, log_var: nn.Parameter | None) -> None:
        super().__init__()
        self.body, self.output, self.log_var = body, output, log_var

    def forward(self, latent: Tensor, context: Tensor | None = None) -> Gaussian:
        """Map (batch, latent) to (batch, ...)."""
        return Gaussian(self.output(self.body(_told(latent, context))), self.log_var)


class MixturePrior(nn.Module):
    """A prior over the latents whose components are learnt."""

    def __init__(self, components: int, latent_dim: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        self.mean = nn.Parameter(torch.zeros(components, latent_dim))
        self.log_var = nn.Parameter(torch.zeros(components, latent_dim))

    def forward(self) -> elbo.Mixture:
        """Give the mixture."""
        return elbo.Mixture(self.logits, self.mean, self.log_var)


class VAE(nn.Module):
    """Encoders and decoders around one latent space, by modality; `compose` makes them and says what the options are.

    Without a prior it is the standard normal; with `point` the encoders give a mean without a variance.
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        decoders: Mapping[str, nn.Module],
        *,
        latent_dim: int,
        errors: Mapping[str, str],
        prior: MixturePrior | None = None,
        point: bool = False,
        input_noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoders, self.decoders, self.prior = nn.ModuleDict(encoders), nn.ModuleDict(decoders), prior
        self.latent_dim, self.errors, self.point, self.input_noise = latent_dim, dict(errors), point, input_noise

    def encode(self, tracks: Inputs) -> Gaussian:
        """Posterior of the latents, fused over modalities."""
        experts = []
        for name, encoder in self.encoders.items():
            x = tracks.tensors[name]
            if self.training and self.input_noise:
                x = x + self.input_noise * torch.randn_like(x)
            parameters = encoder(x, tracks.context)
            expert = Gaussian(parameters, None) if self.point else Gaussian(*parameters.chunk(2, dim=1))
            if tracks.present:
                missing = tracks.present[name].unsqueeze(1) == 0
                expert = expert._replace(log_var=expert.log_var.masked_fill(missing, torch.inf))
            experts.append(expert)
        return elbo.product_of_experts(experts)

    def decode(self, latent: Tensor, context: Tensor | None = None) -> dict[str, Gaussian]:
        """What every modality is like given `latent` of shape (batch, latent)."""
        return {name: decoder(latent, context) for name, decoder in self.decoders.items()}

    def forward(self, tracks: Inputs, noise: Tensor | None = None) -> Output:
        """Encode, sample and decode. In evaluation mode the pass is deterministic.

        Parameters
        ----------
        tracks : Inputs
        noise : Tensor, shape (batch, latent), optional
            Standard normal draws for the sample. By default they are drawn while training; in evaluation mode the
            latent is the posterior mean.
        """
        posterior = self.encode(tracks)
        if noise is None and self.training:
            noise = torch.randn_like(posterior.mean)
        latent = posterior.mean if noise is None else elbo.reparameterize(posterior, noise)
        if self.prior is None:
            divergence = elbo.kl_divergence(posterior)
        else:
            divergence = elbo.mixture_divergence(posterior, latent, self.prior())
        return Output(posterior, latent, divergence, self.decode(latent, tracks.context))

    def error(self, reconstructions: Mapping[str, Gaussian], tracks: Inputs) -> Tensor:
        """Reconstruction term of every track in nats, shape (batch,): the sum over the modalities that it has."""
        total = 0.0
        for name, target in tracks.tensors.items():
            error = elbo.ERRORS[self.errors[name]](reconstructions[name], target)
            total = total + (error * tracks.present[name] if tracks.present else error)
        return total


def compose(
    shapes: Mapping[str, tuple[int, ...]],
    *,
    categories: int = 0,
    latent_dim: int = 16,
    hidden: Sequence[int] = (256, 128),
    channels: Sequence[int] = (8, 16, 32),
    dropout: float = 0.0,
    normalisation: str = "layer",
    input_noise: float = 0.5,
    components: int = 0,
    point: bool = False,
    errors: Mapping[str, str] | None = None,
    decoder_variance: str = "learnt",
) -> VAE:
    """Compose a VAE: for every modality an encoder that fits its shape, and the encoder's mirror image.

    Weights start from U(−1/√fan_in, 1/√fan_in), drawn by torch's own generator.

    Parameters
    ----------
    shapes : mapping of modality to tuple of int
        Shape of one track: (d,) gets a multilayer perceptron, (height, width) convolutions and then a perceptron.
    categories : int
        Number of labels that encoders and decoders are told, 0 for none.
    latent_dim : int
        Number of latents.
    hidden : sequence of int
        Widths of the hidden layers, from input to latent.
    channels : sequence of int
        Channels of the convolutions, from the image inwards; each halves it.
    dropout : float
        Share of hidden units dropped while training, from 0 to 0.95.
    normalisation : {"none", "layer"}
        Whether each hidden layer is normalised before its ReLU (Ba, Kiros & Hinton 2016).
    input_noise : float
        Standard deviation of the noise on the inputs while training, at least 0.
    components : int
        Components of a mixture prior; 0 is the standard normal.
    point : bool
        Whether the posterior is a point, which makes it a plain autoencoder.
    errors : mapping of modality to str, optional
        Reconstruction term, a name in `elbo.ERRORS`; "gaussian" unless given.
    decoder_variance : {"unit", "learnt"}
        Variance of a Gaussian term: one, or learnt per column of a table and per band of an image (Rybkin et al. 2021).

    Raises
    ------
    ParameterError
        If an option is out of range or names a modality that is not there.

    Examples
    --------
    >>> from vae_lib import models
    >>> model = models.compose({"audio": (57,), "image": (16, 32)}, latent_dim=8, hidden=[64])
    >>> model.encoders["audio"].body
    Sequential(
      (0): Linear(in_features=57, out_features=64, bias=True)
      (1): LayerNorm((64,), eps=1e-05, elementwise_affine=True, bias=True)
      (2): ReLU()
    )
    """
    if not isinstance(shapes, Mapping) or not shapes:
        raise ParameterError(f"shapes must map modalities to shapes, such as {{'audio': (57,)}}, got {shapes!r}")
    for name, shape in shapes.items():
        if len(checks.counts(shape, f"shapes[{name!r}]")) not in (1, 2):
            raise ParameterError(f"shapes[{name!r}] must be (d,) or (height, width), got {shape!r}")
    checks.count(categories, "categories", low=0, high=WIDEST)
    checks.count(latent_dim, "latent_dim", high=WIDEST)
    checks.count(components, "components", low=0, high=WIDEST)
    checks.in_range(dropout, "dropout", low=0.0, high=0.95)
    checks.in_range(input_noise, "input_noise", low=0.0)
    checks.one_of(normalisation, "normalisation", ("none", "layer"))
    checks.one_of(decoder_variance, "decoder_variance", ("unit", "learnt"))
    hidden, channels = (
        checks.counts(values, name, high=WIDEST) for name, values in {"hidden": hidden, "channels": channels}.items()
    )
    if point and components:
        raise ParameterError(f"components must be 0 for an autoencoder: a point has no prior, got {components}")
    if not channels and any(len(shape) > 1 for shape in shapes.values()):
        raise ParameterError("channels must hold at least one number for images, got none")
    if not isinstance(errors, Mapping | None):
        raise ParameterError(f"errors must map modalities to names, such as {{'lyrics': 'cosine'}}, got {errors!r}")
    for name, error in (errors or {}).items():
        checks.one_of(name, "errors", shapes)
        checks.one_of(error, f"errors[{name!r}]", ["gaussian"] if len(shapes[name]) > 1 else elbo.ERRORS)
    errors = dict.fromkeys(shapes, "gaussian") | dict(errors or {})
    encoders, decoders = {}, {}
    for name, shape in shapes.items():
        outward = [latent_dim + categories, *reversed(hidden)]
        if len(shape) == 1:
            convolutions, size, output = nn.Identity(), shape[0], nn.Linear(outward[-1], shape[0])
        else:
            convolutions, size, output = _convolutions(shape, channels, outward[-1])
        inward = [size + categories, *hidden]
        head = nn.Linear(inward[-1], latent_dim if point else 2 * latent_dim)
        encoders[name] = Encoder(convolutions, _perceptron(inward, dropout, normalisation), head)
        learnt = decoder_variance == "learnt" and errors[name] == "gaussian"
        log_var = nn.Parameter(torch.zeros(shape[0], *[1] * (len(shape) - 1))) if learnt else None
        decoders[name] = Decoder(_perceptron(outward, dropout, normalisation), output, log_var)
    prior = MixturePrior(components, latent_dim) if components else None
    options = {"latent_dim": latent_dim, "errors": errors, "prior": prior, "point": point, "input_noise": input_noise}
    return VAE(encoders, decoders, **options)


def _told(x: Tensor, context: Tensor | None) -> Tensor:
    return x if context is None else torch.cat([x, context], dim=1)


def _perceptron(widths: Sequence[int], dropout: float, normalisation: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        norm = [nn.LayerNorm(after)] if normalisation == "layer" else []
        layers += [nn.Linear(before, after), *norm, nn.ReLU(), *[nn.Dropout(dropout)] * bool(dropout)]
    return nn.Sequential(*layers)


def _convolutions(
    image: tuple[int, int], channels: Sequence[int], width: int
) -> tuple[nn.Sequential, int, nn.Sequential]:
    """Halve an image once per entry of `channels`, to how many values, and the way back from so many as `width`.

    An image that cannot be halved so often is extended by zeros, and cut to size again on the way back.
    """
    times = 2 ** len(channels)
    small = [math.ceil(side / times) for side in image]
    below, right = (times * side - given for side, given in zip(small, image, strict=True))
    size = channels[-1] * math.prod(small)
    inward: list[nn.Module] = [nn.ZeroPad2d((0, right, 0, below)), nn.Unflatten(1, (1, -1))]
    for before, after in itertools.pairwise([1, *channels]):
        inward += [nn.Conv2d(before, after, **HALVING), nn.ReLU()]
    outward: list[nn.Module] = [nn.Linear(width, size), nn.Unflatten(1, (channels[-1], *small))]
    for before, after in itertools.pairwise([*reversed(channels), 1]):
        doubling = nn.ConvTranspose2d(before, after, **HALVING)
        # A pixel is reached by a quarter of the kernel: that is its fan-in, which torch counts in another way.
        bound = (before * HALVING["kernel_size"] ** 2 / 4) ** -0.5
        for parameter in doubling.parameters():
            nn.init.uniform_(parameter, -bound, bound)
        outward += [nn.ReLU(), doubling]
    cut = nn.ZeroPad2d((0, -right, 0, -below))
    return nn.Sequential(*inward, nn.Flatten()), size, nn.Sequential(*outward, nn.Flatten(1, 2), cut)
