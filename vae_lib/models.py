"""One variational autoencoder, and the recipes that compose it.

A recipe is a short constructor, not a subclass: an autoencoder is the `VAE` with a point for a posterior, a β-VAE
the same network under another weight of the KL divergence, a conditional VAE one whose encoders and decoders are told
a label, a convolutional VAE one that is given images.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vae_lib import checks, elbo, networks
from vae_lib.elbo import Gaussian
from vae_lib.networks import Generators


class Output(NamedTuple):
    """What one pass through a `VAE` gives.

    Attributes
    ----------
    posterior : Gaussian
    latent : Tensor, shape (members, batch, latent)
        A sample of the posterior, or its mean in a pass without noise.
    divergence : Tensor, shape (members, batch, latent)
        KL divergence of each latent in nats; with a mixture prior there is one more column, of its component.
    reconstructions : dict of modality to Tensor, shape (members, batch, ...)
    """

    posterior: Gaussian
    latent: Tensor
    divergence: Tensor
    reconstructions: dict[str, Tensor]


class MixturePrior(nn.Module):
    """A prior over the latents whose components are learnt, one mixture per member."""

    def __init__(self, members: int, components: int, latent_dim: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(members, components))
        self.mean = nn.Parameter(torch.zeros(members, components, latent_dim))
        self.log_var = nn.Parameter(torch.zeros(members, components, latent_dim))

    def forward(self) -> elbo.Mixture:
        """Give the mixture."""
        return elbo.Mixture(self.logits, self.mean, self.log_var)


class VAE(nn.Module):
    """Encoders and decoders around one latent space, for all members of an ensemble at once.

    Parameters
    ----------
    encoders, decoders : mapping of modality to module
        An encoder gives a `Gaussian`, a decoder the mean of its modality.
    errors : mapping of modality to a name in `elbo.ERRORS`
        Reconstruction term of each modality.
    fuse : callable, optional
        Joins the posteriors of the modalities; one modality passes through unchanged.
    prior : MixturePrior, optional
        The standard normal by default.
    input_noise : float
        Standard deviation of the noise added to what the encoders see while training.
    """

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        decoders: Mapping[str, nn.Module],
        *,
        errors: Mapping[str, str],
        fuse: Callable[[Sequence[Gaussian]], Gaussian] = elbo.product_of_experts,
        prior: MixturePrior | None = None,
        input_noise: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.decoders = nn.ModuleDict(decoders)
        self.errors = dict(errors)
        self.fuse = fuse
        self.prior = prior
        self.input_noise = input_noise

    def encode(
        self,
        inputs: Mapping[str, Tensor],
        generators: Generators | None = None,
        *,
        context: Tensor | None = None,
        present: Mapping[str, Tensor] | None = None,
    ) -> Gaussian:
        """Posterior of the latents; the arguments are those of `forward`."""
        experts = []
        for name, encoder in self.encoders.items():
            x = inputs[name]
            if self.input_noise and generators is not None:
                x = x + self.input_noise * networks.normal(generators, *x.shape[1:]).to(x.device)
            expert = encoder(x, generators, context)
            if present:
                missing = present[name].unsqueeze(2) == 0
                expert = expert._replace(log_var=expert.log_var.masked_fill(missing, torch.inf))
            experts.append(expert)
        return self.fuse(experts)

    @property
    def latent_dim(self) -> int:
        """Number of latents."""
        encoder = next(iter(self.encoders.values()))
        return encoder.head.shape[0] // (1 if encoder.point else 2)

    def decode(
        self, latent: Tensor, generators: Generators | None = None, *, context: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Mean of every modality given `latent` of shape (members, batch, latent)."""
        return {name: decoder(latent, generators, context) for name, decoder in self.decoders.items()}

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of one track in each modality."""
        return {name: decoder.output.shape for name, decoder in self.decoders.items()}

    def divergence(self, posterior: Gaussian, latent: Tensor) -> Tensor:
        """KL divergence of each latent from the prior, shape (members, batch, latent)."""
        if self.prior is None:
            return elbo.kl_divergence(posterior)
        return elbo.mixture_divergence(posterior, latent, self.prior())

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        generators: Generators | None = None,
        *,
        context: Tensor | None = None,
        present: Mapping[str, Tensor] | None = None,
    ) -> Output:
        """Encode, sample and decode.

        Parameters
        ----------
        inputs : mapping of modality to Tensor, shape (members, batch, ...)
        generators : sequence of torch.Generator, optional
            One per member, for the sample, for dropout and for input noise. Without them the pass is deterministic:
            the latent is the posterior mean and nothing is dropped.
        context : Tensor, shape (members, batch, categories), optional
            The label that a conditional model is told, as indicator columns.
        present : mapping of modality to Tensor, shape (members, batch), optional
            1 where a track has the modality, 0 where it is missing.
        """
        posterior = self.encode(inputs, generators, context=context, present=present)
        latent = posterior.mean
        if generators is not None:
            latent = elbo.sample(posterior, networks.normal(generators, *latent.shape[1:]).to(latent.device))
        reconstructions = self.decode(latent, generators, context=context)
        return Output(posterior, latent, self.divergence(posterior, latent), reconstructions)


def compose(
    shapes: Mapping[str, tuple[int, ...]],
    *,
    members: int,
    categories: int = 0,
    latent_dim: int = 32,
    hidden: Sequence[int] = (256, 128, 64),
    channels: Sequence[int] = (8, 16, 32),
    dropout: float = 0.2,
    input_noise: float = 0.0,
    components: int = 0,
    point: bool = False,
    errors: Mapping[str, str] | None = None,
) -> VAE:
    """Compose a VAE: for every modality an encoder that fits its shape, and the encoder's mirror image.

    Parameters
    ----------
    shapes : mapping of modality to tuple of int
        Shape of one track: (d,) gets a multilayer perceptron, (height, width) convolutions.
    members : int
        Number of ensemble members, one per training seed.
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
    input_noise : float
        Standard deviation of the noise on the inputs while training, at least 0.
    components : int
        Components of a mixture prior; 0 is the standard normal.
    point : bool
        Whether the posterior is a point, which makes it a plain autoencoder.
    errors : mapping of modality to str, optional
        Reconstruction term, a name in `elbo.ERRORS`; "gaussian" unless given.

    Raises
    ------
    ParameterError
        If an option is out of range or names a modality that is not there.

    Examples
    --------
    >>> from vae_lib import models
    >>> model = models.compose({"audio": (57,), "image": (16, 32)}, members=10, latent_dim=8)
    >>> sorted(model.encoders), model.latent_dim
    (['audio', 'image'], 8)
    """
    checks.count(latent_dim, "latent_dim")
    checks.count(components, "components", low=0)
    checks.in_range(dropout, "dropout", low=0.0, high=0.95)
    checks.in_range(input_noise, "input_noise", low=0.0)
    if point and components:
        raise checks.ParameterError(f"components must be 0 for an autoencoder: a point has no prior, got {components}")
    hidden, channels = checks.counts(hidden, "hidden"), checks.counts(channels, "channels")
    if not channels and any(len(shape) > 1 for shape in shapes.values()):
        raise checks.ParameterError("channels must hold at least one number for images, got none")
    if errors is not None and not isinstance(errors, Mapping):
        raise checks.ParameterError(
            f"errors must map modalities to names, such as {{'lyrics': 'cosine'}}, got {errors!r}"
        )
    for name, error in (errors or {}).items():
        checks.one_of(name, "errors", shapes)
        checks.one_of(error, f"errors[{name!r}]", elbo.ERRORS)
        if error == "cosine" and len(shapes[name]) > 1:
            raise checks.ParameterError(f"errors[{name!r}] must be 'gaussian' for images, got 'cosine'")
    options = {"context": categories, "dropout": dropout}
    encoders, decoders = {}, {}
    for name, shape in shapes.items():
        decoder_body = networks.MLP(members, [latent_dim, *reversed(hidden)], **options)
        if len(shape) == 1:
            body = networks.MLP(members, [*shape, *hidden], **options)
            output = networks.EnsembleLinear(members, decoder_body.width, *shape)
        else:
            body = networks.Convolutions(members, shape, channels, hidden, **options)
            output = networks.TransposedConvolutions(members, decoder_body.width, shape, channels)
        encoders[name] = networks.Encoder(members, body, latent_dim, point=point)
        decoders[name] = networks.Decoder(decoder_body, output)
    return VAE(
        encoders,
        decoders,
        errors={name: (errors or {}).get(name, "gaussian") for name in shapes},
        prior=MixturePrior(members, components, latent_dim) if components else None,
        input_noise=input_noise,
    )


OPTIONS = tuple(
    name for name in inspect.signature(compose).parameters if name not in ("shapes", "members", "categories")
)
"""What a caller of `train.fit` may set of `compose`."""


class Recipe(NamedTuple):
    """A named model: how it is composed, the objective it is trained with, and what it needs to be given.

    Attributes
    ----------
    summary, source : str
        What it is and where it comes from.
    defaults : mapping
        What it sets differently from `compose`.
    beta : float
        Weight of the KL divergence.
    conditional : bool
        Whether it is told a label, at encoder and decoder.
    modalities : int
        Least number of modalities.
    image : bool
        Whether one of them must be an image.

    Examples
    --------
    >>> from vae_lib import models
    >>> models.RECIPES["beta_vae"].beta, models.RECIPES["beta_vae"].conditional
    (4.0, False)
    >>> [name for name, recipe in models.RECIPES.items() if recipe.image]
    ['conv_vae']
    """

    summary: str
    source: str
    defaults: Mapping[str, object] = {}
    beta: float = 1.0
    conditional: bool = False
    modalities: int = 1
    image: bool = False

    @property
    def build(self) -> Callable[..., VAE]:
        """`compose` with the defaults of this recipe."""
        return partial(compose, **self.defaults)


RECIPES: Mapping[str, Recipe] = {
    "ae": Recipe("autoencoder: a point latent, no KL", "Hinton & Salakhutdinov 2006", {"point": True}, 0.0),
    "vae": Recipe("base VAE: Gaussian posterior, standard normal prior", "Kingma & Welling 2014"),
    "beta_vae": Recipe("β-VAE: the KL divergence weighs more", "Higgins et al. 2017", beta=4.0),
    "cvae": Recipe("conditional VAE: encoder and decoder are told a label", "Sohn et al. 2015", conditional=True),
    "conv_vae": Recipe("convolutional VAE on the log-mel image", "Kingma & Welling 2014", image=True),
    "multimodal_vae": Recipe(
        "multimodal VAE: one expert per modality, fused as a product", "Wu & Goodman 2018", modalities=2
    ),
    "cond_multimodal_vae": Recipe(
        "multimodal VAE whose experts and decoders are told a label",
        "Wu & Goodman 2018, Sohn et al. 2015",
        conditional=True,
        modalities=2,
    ),
    "denoising_vae": Recipe(
        "denoising VAE: noise on the input, not on the target", "Im et al. 2017", {"input_noise": 0.5}
    ),
    "vade": Recipe(
        "VaDE: a mixture of Gaussians as prior, started from an autoencoder", "Jiang et al. 2017", {"components": 10}
    ),
    # The original project summed the full squared error, twice the Gaussian term: the same loss is half its β.
    "published_vae": Recipe("base VAE as published: squared error plus KL", "original project", beta=0.5),
    "published_beta_vae": Recipe(
        "β-VAE as published: squared error plus four times the KL",
        "original project",
        {"hidden": (512, 256, 128), "latent_dim": 64},
        2.0,
    ),
}
"""Every model by name."""
