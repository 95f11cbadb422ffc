"""One variational autoencoder, and the recipes that compose it.

A recipe is a short constructor, not a subclass: an autoencoder is the `VAE` with a point for a posterior, a β-VAE
the same network under another weight of the KL divergence.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from vae_lib import checks, elbo, networks
from vae_lib.elbo import Gaussian
from vae_lib.networks import Generators


class Output(NamedTuple):
    """What one pass through a `VAE` gives."""

    posterior: Gaussian
    latent: Tensor
    reconstructions: dict[str, Tensor]


class VAE(nn.Module):
    """Encoders and decoders around one latent space, for all members of an ensemble at once.

    Parameters
    ----------
    encoders, decoders : mapping of modality to module
        An encoder gives a `Gaussian`, a decoder the mean of its modality.
    fuse : callable, optional
        Joins the posteriors of the modalities; one modality passes through unchanged.
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        decoders: Mapping[str, nn.Module],
        *,
        fuse: Callable[[Sequence[Gaussian]], Gaussian] = elbo.product_of_experts,
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.decoders = nn.ModuleDict(decoders)
        self.fuse = fuse

    def encode(self, inputs: Mapping[str, Tensor], generators: Generators | None = None) -> Gaussian:
        """Posterior of the latents given `inputs`, each of shape (members, batch, ...)."""
        return self.fuse([encoder(inputs[name], generators) for name, encoder in self.encoders.items()])

    def decode(self, latent: Tensor, generators: Generators | None = None) -> dict[str, Tensor]:
        """Mean of every modality given `latent` of shape (members, batch, latent)."""
        return {name: decoder(latent, generators) for name, decoder in self.decoders.items()}

    def forward(self, inputs: Mapping[str, Tensor], generators: Generators | None = None) -> Output:
        """Encode, sample and decode.

        Parameters
        ----------
        inputs : mapping of modality to Tensor, shape (members, batch, ...)
        generators : sequence of torch.Generator, optional
            One per member, for the sample and for dropout. Without them the pass is deterministic: the latent is
            the posterior mean and nothing is dropped.
        """
        posterior = self.encode(inputs, generators)
        latent = posterior.mean
        if generators is not None:
            latent = elbo.sample(posterior, networks.normal(generators, *latent.shape[1:]))
        return Output(posterior, latent, self.decode(latent, generators))


class Recipe(NamedTuple):
    """How to compose a model, and the objective it is trained with."""

    build: Callable[..., VAE]
    beta: float
    summary: str
    source: str


def perceptron(
    widths: Mapping[str, int],
    *,
    members: int,
    latent_dim: int = 32,
    hidden: Sequence[int] = (256, 128, 64),
    dropout: float = 0.2,
    point: bool = False,
) -> VAE:
    """Compose a VAE of multilayer perceptrons: an encoder and its mirror image for every modality.

    Parameters
    ----------
    widths : mapping of modality to int
        Number of features of each modality.
    members : int
        Number of ensemble members, one per training seed.
    latent_dim : int
        Number of latents.
    hidden : sequence of int
        Widths of the hidden layers, from input to latent.
    dropout : float
        Share of hidden units dropped while training, from 0 to 0.95.
    point : bool
        Whether the posterior is a point, which makes it a plain autoencoder.

    Raises
    ------
    ParameterError
        If a width is not a whole number of at least 1, or `dropout` is out of range.
    """
    checks.count(latent_dim, "latent_dim")
    checks.in_range(dropout, "dropout", low=0.0, high=0.95)
    hidden = [checks.count(width, "hidden") for width in hidden]
    encoders, decoders = {}, {}
    for name, width in widths.items():
        down, up = [width, *hidden], [latent_dim, *reversed(hidden)]
        encoder_body = networks.MLP(members, down, dropout=dropout)
        decoder_body = networks.MLP(members, up, dropout=dropout)
        encoders[name] = networks.Encoder(members, encoder_body, down[-1], latent_dim, point=point)
        decoders[name] = networks.Decoder(members, decoder_body, up[-1], width)
    return VAE(encoders, decoders)


RECIPES: Mapping[str, Recipe] = {
    "ae": Recipe(
        partial(perceptron, point=True), 0.0, "autoencoder: a point latent, no KL", "Hinton & Salakhutdinov 2006"
    ),
    "vae": Recipe(perceptron, 1.0, "base VAE: Gaussian posterior, β = 1", "Kingma & Welling 2014"),
}
"""Every model by name: how to compose it and the weight of the KL divergence that it is trained with."""
