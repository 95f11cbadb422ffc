"""Variational autoencoders: the objective, one model composed of plain modules, and recipes by name.

=========  ===========================================================================
`elbo`     each equation once: divergences, reconstruction terms, objective, bound
`vae`      `VAE` and `compose`, which fits encoders and decoders to what is given
`recipes`  `RECIPES`, every model of the study by name
`inputs`   arrays to tensors: scaling, missing tracks, labels
=========  ===========================================================================
"""

from vae_lib.models import elbo, inputs
from vae_lib.models.recipes import RECIPES, Recipe
from vae_lib.models.vae import VAE, Output, compose

__all__ = ["RECIPES", "VAE", "Output", "Recipe", "compose", "elbo", "inputs"]
