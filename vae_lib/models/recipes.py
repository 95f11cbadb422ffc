"""The models of the study by name: each a composition of one `VAE`, and the objective that it is trained with."""

from collections.abc import Mapping
from typing import NamedTuple


class Recipe(NamedTuple):
    """A named model: how it is composed, the objective it is trained with, and what it needs to be given.

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
    defaults: Mapping[str, object] = {}  # what it sets differently from `compose`
    beta: float = 1.0  # weight of the KL divergence
    conditional: bool = False  # told a label, at encoder and decoder
    modalities: int = 1  # at least
    image: bool = False  # among them


PUBLISHED = {
    "hidden": (256, 128, 64),
    "latent_dim": 32,
    "dropout": 0.2,
    "normalisation": "none",
    "decoder_variance": "unit",
    "input_noise": 0.0,
}

RECIPES: Mapping[str, Recipe] = {
    "ae": Recipe("autoencoder: a point latent, no KL", "Vincent et al. 2010", {"point": True}, 0.0),
    "vae": Recipe(
        "base VAE: Gaussian posterior, standard normal prior, learnt decoder variance, noise on the input",
        "Kingma & Welling 2014, Rybkin et al. 2021, Im et al. 2017",
    ),
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
    "vade": Recipe(
        "VaDE: a mixture of Gaussians as prior, started from an autoencoder", "Jiang et al. 2017", {"components": 10}
    ),
    # The original project summed the full squared error, twice the Gaussian term: the same loss is half its β.
    "published_vae": Recipe("base VAE as published: squared error plus KL", "original project", PUBLISHED, 0.5),
    "published_beta_vae": Recipe(
        "β-VAE as published: squared error plus four times the KL",
        "original project",
        PUBLISHED | {"hidden": (512, 256, 128), "latent_dim": 64},
        2.0,
    ),
}
"""Every model by name."""
