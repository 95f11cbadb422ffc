"""The evidence lower bound, each equation once.

Every tensor carries a leading axis of ensemble members (one member per training seed), so that all members are
computed in one go and never mix. A loss sums over features and latents and averages over the batch; any other
reduction would be a hidden β.
"""

from collections.abc import Callable, Mapping, Sequence
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


class Mixture(NamedTuple):
    """A mixture of diagonal Gaussians, as a prior over the latents.

    Attributes
    ----------
    logits : Tensor, shape (members, components)
        Logarithms of the weights, up to a constant.
    mean, log_var : Tensor, shape (members, components, latent)
    """

    logits: Tensor
    mean: Tensor
    log_var: Tensor


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

    Examples
    --------
    >>> import torch
    >>> from vae_lib import elbo
    >>> posterior = elbo.Gaussian(mean=torch.tensor([[[3.0]]]), log_var=torch.tensor([[[4.0]]]).log())
    >>> elbo.sample(posterior, torch.tensor([[[-1.0]]])).item()  # 3 − 2 · 1
    1.0
    """
    if posterior.log_var is None:
        return posterior.mean
    return posterior.mean + torch.exp(0.5 * posterior.log_var) * noise


def kl_divergence(posterior: Gaussian) -> Tensor:
    """KL(posterior ‖ standard normal) of each latent in nats, shape (members, batch, latent); zero for a point.

    Examples
    --------
    >>> import torch
    >>> from vae_lib import elbo
    >>> mean = torch.tensor([[[0.0, 1.0, 2.0]]])
    >>> elbo.kl_divergence(elbo.Gaussian(mean, torch.zeros(1, 1, 3)))  # μ² / 2 where the variance is 1
    tensor([[[0.0000, 0.5000, 2.0000]]])
    """
    mean, log_var = posterior
    if log_var is None:
        return torch.zeros_like(mean)
    return 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var)


def responsibilities(latent: Tensor, prior: Mixture) -> Tensor:
    """Probability of each component of the mixture given a latent, shape (members, batch, components).

    Parameters
    ----------
    latent : Tensor, shape (members, batch, latent)
    prior : Mixture

    Examples
    --------
    >>> import torch
    >>> from vae_lib import elbo
    >>> two = elbo.Mixture(torch.zeros(1, 2), mean=torch.tensor([[[-1.0], [1.0]]]), log_var=torch.zeros(1, 2, 1))
    >>> elbo.responsibilities(torch.tensor([[[0.0]]]), two)  # half way between the two
    tensor([[[0.5000, 0.5000]]])
    """
    distance = (latent.unsqueeze(2) - prior.mean.unsqueeze(1)).square() * torch.exp(-prior.log_var).unsqueeze(1)
    density = -0.5 * (distance + prior.log_var.unsqueeze(1)).sum(dim=3)
    return torch.softmax(prior.logits.unsqueeze(1) + density, dim=2)


def mixture_divergence(posterior: Gaussian, latent: Tensor, prior: Mixture) -> Tensor:
    """KL divergence from a mixture of Gaussians in nats, the bound of VaDE (Jiang et al. 2017, equation 12).

    The component is a latent of its own, whose posterior is what the sampled `latent` says of it. The divergence is
    therefore that of each latent given the component, averaged over components, and one more: that of the component.

    Parameters
    ----------
    posterior : Gaussian
    latent : Tensor, shape (members, batch, latent)
        A sample of the posterior.
    prior : Mixture

    Returns
    -------
    Tensor, shape (members, batch, latent + 1)
        The last column is the divergence of the component.

    Examples
    --------
    With a single component that is standard normal, it is the ordinary divergence; the component costs nothing.

    >>> import torch
    >>> from vae_lib import elbo
    >>> posterior = elbo.Gaussian(torch.tensor([[[2.0]]]), torch.zeros(1, 1, 1))
    >>> one = elbo.Mixture(torch.zeros(1, 1), mean=torch.zeros(1, 1, 1), log_var=torch.zeros(1, 1, 1))
    >>> elbo.mixture_divergence(posterior, posterior.mean, one).squeeze() + 0.0
    tensor([2., 0.])
    """
    share = responsibilities(latent, prior)
    mean, log_var = posterior.mean.unsqueeze(2), posterior.log_var.unsqueeze(2)
    prior_mean, prior_log_var = prior.mean.unsqueeze(1), prior.log_var.unsqueeze(1)
    given = prior_log_var - log_var + (log_var.exp() + (mean - prior_mean).square()) * torch.exp(-prior_log_var) - 1.0
    weights = torch.log_softmax(prior.logits, dim=1).unsqueeze(1)
    component = (share * (torch.log(share.clamp_min(1e-30)) - weights)).sum(dim=2, keepdim=True)
    return torch.cat([0.5 * (share.unsqueeze(3) * given).sum(dim=2), component], dim=2)


def product_of_experts(experts: Sequence[Gaussian]) -> Gaussian:
    """Fuse the posteriors of several modalities with one standard normal prior expert (Wu & Goodman 2018).

    Precisions add up and means are weighted by them: with the prior's precision of 1,
    ``1/σ² = 1 + Σ 1/σᵢ²`` and ``μ = σ² Σ μᵢ/σᵢ²``. A missing modality has ``log_var = inf`` and weighs nothing.
    A single expert is returned as it is; points, which have no precision, are averaged.

    Examples
    --------
    Two experts and the prior, all of variance 1: a third of it is left, and the mean moves towards 0.

    >>> import torch
    >>> from vae_lib import elbo
    >>> expert = elbo.Gaussian(torch.tensor([[[3.0]]]), torch.zeros(1, 1, 1))
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


def gaussian_error(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood of a unit-variance Gaussian without its constant: half the summed squared error.

    Parameters
    ----------
    reconstruction, target : Tensor, shape (members, batch, ...)

    Returns
    -------
    Tensor, shape (members, batch)
        In nats.

    Examples
    --------
    >>> import torch
    >>> from vae_lib import elbo
    >>> elbo.gaussian_error(torch.tensor([[[0.0, 0.0]]]), torch.tensor([[[3.0, 4.0]]]))
    tensor([[12.5000]])
    """
    return 0.5 * (reconstruction - target).square().flatten(start_dim=2).sum(dim=2)


def cosine_error(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Negative log-likelihood of a von Mises-Fisher distribution without its constant: ``d (1 − cos)``.

    For directions, such as lyric vectors. The concentration is the number of dimensions d, with which a direction
    weighs as much as d standardised features do.

    Parameters
    ----------
    reconstruction, target : Tensor, shape (members, batch, d)

    Returns
    -------
    Tensor, shape (members, batch)
        In nats, from 0 to 2 d.

    Examples
    --------
    >>> import torch
    >>> from vae_lib import elbo
    >>> target = torch.tensor([[[1.0, 0.0]]])
    >>> directions = [5.0, 0.0], [0.0, 5.0], [-5.0, 0.0]
    >>> [elbo.cosine_error(torch.tensor([[direction]]), target).item() for direction in directions]
    [0.0, 2.0, 4.0]
    """
    return target.shape[-1] * (1.0 - torch.cosine_similarity(reconstruction, target, dim=-1))


ERRORS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"gaussian": gaussian_error, "cosine": cosine_error}
"""Reconstruction terms by name, "gaussian" for standardised values, "cosine" for directions."""


def objective(
    reconstructions: Mapping[str, Tensor],
    targets: Mapping[str, Tensor],
    divergence: Tensor,
    *,
    beta: float,
    errors: Mapping[str, str],
    present: Mapping[str, Tensor] | None = None,
    free_bits: float = 0.0,
) -> Terms:
    """Add up the terms: reconstruction of each modality plus `beta` times the KL divergence.

    With ``beta = 1`` the loss is the negative ELBO up to a constant (Kingma & Welling 2014); another weight gives
    the objective of the β-VAE (Higgins et al. 2017).

    Parameters
    ----------
    reconstructions, targets : mapping of modality to Tensor, shape (members, batch, ...)
    divergence : Tensor, shape (members, batch, latent)
        KL divergence of each latent.
    beta : float
        Weight of the KL divergence, at least 0.
    errors : mapping of modality to a name in `ERRORS`
    present : mapping of modality to Tensor, shape (members, batch), optional
        1 where a track has the modality, 0 where it is missing and nothing is to be reconstructed.
    free_bits : float
        Nats that each latent may carry without paying (Kingma et al. 2016); the reported divergence is the full one.

    Returns
    -------
    Terms
        Summed over features and latents, averaged over the batch, one value per member.

    Examples
    --------
    >>> import torch
    >>> from vae_lib import elbo
    >>> made, heard = {"audio": torch.zeros(1, 2, 3)}, {"audio": torch.ones(1, 2, 3)}
    >>> elbo.objective(made, heard, torch.full((1, 2, 4), 0.25), beta=4.0, errors={"audio": "gaussian"})
    Terms(loss=tensor([5.5000]), reconstruction=tensor([1.5000]), kl=tensor([1.]))
    """
    parts = {name: ERRORS[errors[name]](reconstructions[name], target) for name, target in targets.items()}
    reconstruction = sum(part * present[name] if present else part for name, part in parts.items()).mean(dim=1)
    per_latent = divergence.mean(dim=1)
    kl = per_latent.sum(dim=1)
    paid = per_latent.clamp_min(free_bits).sum(dim=1) if free_bits else kl
    return Terms(reconstruction + beta * paid, reconstruction, kl)


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

    Examples
    --------
    >>> import torch
    >>> from vae_lib import elbo
    >>> mean = torch.stack([torch.linspace(-1, 1, 50), torch.zeros(50)], dim=-1)[None]
    >>> elbo.active_units(mean)  # one latent varies over the 50 tracks, the other does not
    tensor([1])
    """
    # A single track does not vary.
    return (mean.var(dim=1, correction=min(1, mean.shape[1] - 1)) > ACTIVE_VARIANCE).sum(dim=1)
