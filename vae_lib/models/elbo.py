"""The evidence lower bound, each equation once.

A loss sums over features and latents and averages over the batch; any other reduction would be a hidden β.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

ACTIVE_VARIANCE = 0.01
"""A latent is active when its posterior mean varies more than this over the corpus (Burda et al. 2016)."""


class Gaussian(NamedTuple):
    """A diagonal Gaussian: the posterior of the latents, or what a decoder says of a modality.

    Attributes
    ----------
    mean : Tensor, shape (batch, ...)
    log_var : Tensor or None
        Logarithm of the variance, of a shape that broadcasts with `mean`. None is a posterior without variance, the
        code of a plain autoencoder, or a decoder of unit variance.
    """

    mean: Tensor
    log_var: Tensor | None


class Mixture(NamedTuple):
    """A mixture of diagonal Gaussians, as a prior over the latents."""

    logits: Tensor  # (components,): logarithms of the weights, up to a constant
    mean: Tensor  # (components, latent)
    log_var: Tensor  # (components, latent)


class Terms(NamedTuple):
    """The terms of the objective in nats per track, each a scalar."""

    loss: Tensor
    reconstruction: Tensor
    kl: Tensor


def reparameterize(posterior: Gaussian, noise: Tensor) -> Tensor:
    """Draw ``mean + σ · noise``, the reparameterised sample of Kingma & Welling (2014); a point is its own sample.

    Parameters
    ----------
    posterior : Gaussian
    noise : Tensor, shape (batch, latent)
        Standard normal draws.

    Examples
    --------
    >>> import torch
    >>> from vae_lib.models import elbo
    >>> posterior = elbo.Gaussian(mean=torch.tensor([[3.0]]), log_var=torch.tensor([[4.0]]).log())
    >>> elbo.reparameterize(posterior, torch.tensor([[-1.0]])).item()  # 3 − 2 · 1
    1.0
    """
    if posterior.log_var is None:
        return posterior.mean
    return posterior.mean + torch.exp(0.5 * posterior.log_var) * noise


def product_of_experts(experts: Sequence[Gaussian]) -> Gaussian:
    """Fuse the posteriors of several modalities with one standard normal prior expert (Wu & Goodman 2018).

    Precisions add up and means are weighted by them: with the prior's precision of 1,
    ``1/σ² = 1 + Σ 1/σᵢ²`` and ``μ = σ² Σ μᵢ/σᵢ²``. A missing modality has ``log_var = inf`` and weighs nothing.
    A single expert is returned as it is; points, which have no precision, are averaged.

    Examples
    --------
    Two experts and the prior, all of variance 1: a third of it is left, and the mean moves towards 0.

    >>> import torch
    >>> from vae_lib.models import elbo
    >>> expert = elbo.Gaussian(torch.tensor([[3.0]]), torch.zeros(1, 1))
    >>> fused = elbo.product_of_experts([expert, expert])
    >>> round(fused.mean.item(), 4), round(fused.log_var.exp().item(), 4)
    (2.0, 0.3333)
    """
    if len(experts) == 1:
        return experts[0]
    mean = torch.stack([expert.mean for expert in experts])
    if experts[0].log_var is None:
        return Gaussian(mean.mean(dim=0), None)
    log_precision = -torch.stack([expert.log_var for expert in experts])
    prior = torch.zeros_like(log_precision[:1])
    log_var = -torch.logsumexp(torch.cat([prior, log_precision]), dim=0)
    weights = torch.exp(log_precision + log_var)
    return Gaussian((weights * mean).sum(dim=0), log_var)


def kl_divergence(posterior: Gaussian) -> Tensor:
    """KL(posterior ‖ standard normal) of each latent in nats, shape (batch, latent); zero for a point.

    Examples
    --------
    >>> import torch
    >>> from vae_lib.models import elbo
    >>> mean = torch.tensor([[0.0, 1.0, 2.0]])
    >>> elbo.kl_divergence(elbo.Gaussian(mean, torch.zeros(1, 3)))  # μ² / 2 where the variance is 1
    tensor([[0.0000, 0.5000, 2.0000]])
    """
    mean, log_var = posterior
    if log_var is None:
        return torch.zeros_like(mean)
    return 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var)


def _log_joint(latent: Tensor, prior: Mixture) -> Tensor:
    """``log p(component) + log p(latent | component)`` without the constant of the Gaussian, (batch, components)."""
    distance = (latent.unsqueeze(1) - prior.mean).square() * torch.exp(-prior.log_var)
    return torch.log_softmax(prior.logits, dim=0) - 0.5 * (distance + prior.log_var).sum(dim=2)


def responsibilities(latent: Tensor, prior: Mixture) -> Tensor:
    """Probability of each component of the mixture given a latent, shape (batch, components)."""
    return torch.softmax(_log_joint(latent, prior), dim=1)


def mixture_divergence(posterior: Gaussian, latent: Tensor, prior: Mixture) -> Tensor:
    """KL divergence from a mixture of Gaussians in nats, the bound of VaDE (Jiang et al. 2017, equation 12).

    The component is a latent of its own, whose posterior is what the sampled `latent` says of it. The divergence is
    therefore that of each latent given the component, averaged over components, and one more: that of the component.

    Parameters
    ----------
    posterior : Gaussian
    latent : Tensor, shape (batch, latent)
        A sample of the posterior.
    prior : Mixture

    Returns
    -------
    Tensor, shape (batch, latent + 1)
        The component's is the last column.
    """
    share = responsibilities(latent, prior)
    mean, log_var = (part.unsqueeze(1) for part in posterior)
    given = prior.log_var - log_var + (log_var.exp() + (mean - prior.mean).square()) * torch.exp(-prior.log_var) - 1.0
    component = share * (torch.log(share.clamp_min(1e-30)) - torch.log_softmax(prior.logits, dim=0))
    return torch.cat([0.5 * (share.unsqueeze(2) * given).sum(dim=1), component.sum(dim=1, keepdim=True)], dim=1)


def gaussian_error(reconstruction: Gaussian, target: Tensor) -> Tensor:
    """Negative log-likelihood of a Gaussian without its constant: of unit variance, half the summed squared error.

    With a variance that the decoder learns, it is the calibrated decoder of Rybkin et al. (2021).

    Takes a target of shape (batch, ...) and gives nats of shape (batch,).
    """
    mean, log_var = reconstruction
    error = (mean - target).square()
    if log_var is not None:
        error = error * torch.exp(-log_var) + log_var
    return 0.5 * error.flatten(start_dim=1).sum(dim=1)


def cosine_error(reconstruction: Gaussian, target: Tensor) -> Tensor:
    """Negative log-likelihood of a von Mises-Fisher distribution without its constant: ``d (1 − cos)``.

    For directions, such as lyric vectors: of the reconstruction only that of its mean counts. The concentration is the
    number of dimensions d, with which a direction weighs as much as d standardised features do. Takes a target of shape
    (batch, d) and gives nats from 0 to 2 d, of shape (batch,).
    """
    return target.shape[-1] * (1.0 - torch.cosine_similarity(reconstruction.mean, target, dim=-1))


ERRORS: Mapping[str, Callable[[Gaussian, Tensor], Tensor]] = {"gaussian": gaussian_error, "cosine": cosine_error}
"""Reconstruction terms by name, "gaussian" for standardised values, "cosine" for directions."""


def objective(reconstruction: Tensor, divergence: Tensor, *, beta: float, free_bits: float = 0.0) -> Terms:
    """Add up the terms: reconstruction plus `beta` times the KL divergence.

    With ``beta = 1`` the loss is the negative ELBO up to a constant (Kingma & Welling 2014); another weight gives
    the objective of the β-VAE (Higgins et al. 2017).

    Parameters
    ----------
    reconstruction : Tensor, shape (batch,)
        Reconstruction term of each track, the sum over its modalities.
    divergence : Tensor, shape (batch, latent)
        KL divergence of each latent.
    beta : float
        Weight of the KL divergence, at least 0.
    free_bits : float
        Nats that each latent may carry without paying (Kingma et al. 2016); the reported divergence is the full one.

    Returns
    -------
    Terms
        Summed over features and latents, averaged over the batch.

    Examples
    --------
    >>> import torch
    >>> from vae_lib.models import elbo
    >>> elbo.objective(torch.tensor([1.0, 2.0]), torch.full((2, 4), 0.25), beta=4.0)
    Terms(loss=tensor(5.5000), reconstruction=tensor(1.5000), kl=tensor(1.))
    """
    error = reconstruction.mean()
    per_latent = divergence.mean(dim=0)
    kl = per_latent.sum()
    paid = per_latent.clamp_min(free_bits).sum() if free_bits else kl
    return Terms(error + beta * paid, error, kl)


def log_ratio(posterior: Gaussian, latent: Tensor, prior: Mixture | None = None) -> Tensor:
    """``log p(latent) − log q(latent)`` of samples of the posterior, in nats, shape (batch,).

    The prior is standard normal unless a mixture is given.
    """
    mean, log_var = posterior
    approximate = -0.5 * ((latent - mean).square() * torch.exp(-log_var) + log_var).sum(dim=1)
    if prior is None:
        return -0.5 * latent.square().sum(dim=1) - approximate
    return torch.logsumexp(_log_joint(latent, prior), dim=1) - approximate


def active_units(mean: Tensor) -> int:
    """Count the latents in use: those whose posterior mean varies by more than 0.01 (Burda et al. 2016).

    Takes the posterior means of the whole corpus, shape (n, latent); a single track does not vary.

    Examples
    --------
    >>> import torch
    >>> from vae_lib.models import elbo
    >>> elbo.active_units(torch.stack([torch.linspace(-1, 1, 50), torch.zeros(50)], dim=1))  # only the first varies
    1
    """
    return int((mean.var(dim=0, correction=min(1, len(mean) - 1)) > ACTIVE_VARIANCE).sum())
