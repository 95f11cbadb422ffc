"""The evidence lower bound, each equation once.

Every tensor carries a leading axis of ensemble members (one member per training seed), so that all members are
computed in one go and never mix. A loss sums over features and latents and averages over the batch; any other
reduction would be a hidden β.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

ACTIVE_VARIANCE = 0.01
"""A latent is active when its posterior mean varies more than this over the corpus (Burda et al. 2016)."""


class Gaussian(NamedTuple):
    """A diagonal Gaussian posterior over the latents, or a point.

    Attributes
    ----------
    mean : Tensor, shape (members, batch, latent)
    log_var : Tensor or None, shape (members, batch, latent)
        Logarithm of the variance; None is a point: the code of a plain autoencoder.
    """

    mean: Tensor
    log_var: Tensor | None


class Terms(NamedTuple):
    """The terms of the objective in nats per track, each of shape (members,)."""

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor


def sample(posterior: Gaussian, noise: Tensor) -> Tensor:
    """Draw ``mean + σ · noise``, the reparameterised sample of Kingma & Welling (2014); a point is its own sample.

    Parameters
    ----------
    posterior : Gaussian
    noise : Tensor, shape (members, batch, latent)
        Standard normal draws.
    """
    if posterior.log_var is None:
        return posterior.mean
    return posterior.mean + torch.exp(0.5 * posterior.log_var) * noise


def kl_divergence(posterior: Gaussian) -> Tensor:
    """KL(posterior ‖ standard normal) of each latent in nats, shape (members, batch, latent); zero for a point."""
    mean, log_var = posterior
    if log_var is None:
        return torch.zeros_like(mean)
    return 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var)


def product_of_experts(experts: Sequence[Gaussian]) -> Gaussian:
    """Fuse the posteriors of several modalities with one standard normal prior expert (Wu & Goodman 2018).

    Precisions add up and means are weighted by them: with the prior's precision of 1,
    ``1/σ² = 1 + Σ 1/σᵢ²`` and ``μ = σ² Σ μᵢ/σᵢ²``. A missing modality has ``log_var = inf`` and weighs nothing.
    A single expert is returned as it is.
    """
    if len(experts) == 1:
        return experts[0]
    mean = torch.stack([expert.mean for expert in experts])
    log_precision = -torch.stack([expert.log_var for expert in experts])
    prior = torch.zeros_like(log_precision[:1])
    log_var = -torch.logsumexp(torch.cat([prior, log_precision]), dim=0)
    weights = torch.exp(log_precision + log_var)
    return Gaussian((weights * mean).sum(dim=0), log_var)


def gaussian_error(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood of a unit-variance Gaussian without its constant: half the summed squared error.

    Parameters
    ----------
    reconstruction, target : Tensor, shape (members, batch, ...)

    Returns
    -------
    Tensor, shape (members, batch)
        In nats.
    """
    return 0.5 * (reconstruction - target).square().flatten(start_dim=2).sum(dim=2)


def objective(
    reconstructions: Mapping[str, Tensor], targets: Mapping[str, Tensor], posterior: Gaussian, *, beta: float
) -> Terms:
    """Add up the terms: reconstruction of each modality plus `beta` times the KL divergence.

    With ``beta = 1`` the loss is the negative ELBO up to a constant (Kingma & Welling 2014); another weight gives
    the objective of the β-VAE (Higgins et al. 2017).

    Parameters
    ----------
    reconstructions, targets : mapping of modality to Tensor, shape (members, batch, ...)
    posterior : Gaussian
    beta : float
        Weight of the KL divergence, at least 0.

    Returns
    -------
    Terms
        Summed over features and latents, averaged over the batch, one value per member.
    """
    reconstruction = sum(gaussian_error(reconstructions[name], target) for name, target in targets.items()).mean(dim=1)
    kl = kl_divergence(posterior).sum(dim=2).mean(dim=1)
    return Terms(reconstruction + beta * kl, reconstruction, kl)


def active_units(mean: Tensor) -> Tensor:
    """Count the latents in use: those whose posterior mean varies by more than 0.01 (Burda et al. 2016).

    Parameters
    ----------
    mean : Tensor, shape (members, n, latent)
        Posterior means of the whole corpus.

    Returns
    -------
    Tensor of int, shape (members,)
        From 0 to the number of latents.
    """
    return (mean.var(dim=1) > ACTIVE_VARIANCE).sum(dim=1)
