"""Each equation against a closed form, torch's distributions or scikit-learn: a wrong one would change every result."""

import math

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal, kl_divergence

from vae_lib.models import elbo
from vae_lib.models.elbo import Gaussian, Mixture


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian(*shape, seed=0):
    return Gaussian(draw(*shape, seed=seed), draw(*shape, seed=seed + 100))


def normal(posterior):
    return Independent(Normal(posterior.mean, torch.exp(posterior.log_var / 2)), 1)


def mixture(components=4, latent=3, seed=50):
    shape = (components, latent)
    return Mixture(draw(components, seed=seed), 2 * draw(*shape, seed=seed + 1), draw(*shape, seed=seed + 2))


def as_distribution(prior):
    parts = Independent(Normal(prior.mean, torch.exp(prior.log_var / 2)), 1)
    return MixtureSameFamily(Categorical(logits=prior.logits), parts)


# The posterior


def test_kl_equals_that_of_torch_distributions_and_a_point_has_none():
    posterior = gaussian(5, 3)
    expected = kl_divergence(Normal(posterior.mean, torch.exp(posterior.log_var / 2)), Normal(0.0, 1.0))
    torch.testing.assert_close(elbo.kl_divergence(posterior), expected)
    assert not elbo.kl_divergence(Gaussian(posterior.mean, None)).any()


def test_samples_have_the_posteriors_mean_and_spread_and_pass_on_gradients():
    # d sample / d mean = 1 and d sample / d log_var = σ · noise / 2; else the encoder would not learn.
    mean, log_var = torch.full((20000, 1), 3.0), torch.full((20000, 1), math.log(4.0))
    noise = draw(20000, 1).float()
    samples = elbo.reparameterize(Gaussian(mean.requires_grad_(), log_var.requires_grad_()), noise)
    samples.sum().backward()
    assert samples.mean().item() == pytest.approx(3.0, abs=0.05)
    assert samples.std().item() == pytest.approx(2.0, abs=0.05)
    torch.testing.assert_close(mean.grad, torch.ones_like(mean))
    torch.testing.assert_close(log_var.grad, noise)
    assert torch.equal(elbo.reparameterize(Gaussian(mean, None), noise), mean)


@pytest.mark.parametrize(("spread", "active"), [(0.11, 1), (0.09, 0)])
def test_a_latent_is_active_from_a_variance_of_a_hundredth(spread, active):
    varying = spread * torch.tensor([-1.0, 1.0]).repeat(500)
    assert elbo.active_units(torch.stack([varying, torch.full_like(varying, 5.0)], dim=1)) == active
    assert elbo.active_units(torch.ones(1, 3)) == 0


# The objective


def test_the_objective_at_beta_one_is_the_negative_elbo_of_torch_distributions():
    x, out, log_var, posterior = draw(6, 5), draw(6, 5, seed=1), draw(5, seed=3), gaussian(6, 3, seed=2)
    prior = Independent(Normal(torch.zeros(3).double(), torch.ones(3).double()), 1)
    for learnt in (None, log_var):
        scale = 1.0 if learnt is None else torch.exp(learnt / 2).expand(6, 5)
        likelihood = Normal(out, scale).log_prob(x).sum(dim=1) + 5 * 0.5 * math.log(2 * math.pi)
        expected = (kl_divergence(normal(posterior), prior) - likelihood).mean()
        error = elbo.gaussian_error(Gaussian(out, learnt), x)
        torch.testing.assert_close(elbo.objective(error, elbo.kl_divergence(posterior), beta=1.0).loss, expected)


def test_the_cosine_error_asks_for_the_direction_only():
    x, zero = draw(200, 5), torch.zeros(200, 5).double()
    of = lambda out: elbo.cosine_error(Gaussian(out, None), x)  # noqa: E731
    torch.testing.assert_close(of(7.0 * x), zero[:, 0])
    torch.testing.assert_close(of(-0.1 * x), zero[:, 0] + 10.0)
    out = draw(200, 5, seed=1)
    torch.testing.assert_close(of(3.0 * out), of(out))
    zero.requires_grad_()  # a network may give exactly that: NaN would end the training
    of(zero).sum().backward()
    assert zero.grad.isfinite().all()


def test_reductions_are_sums_over_features_and_latents_and_means_over_tracks():
    # Another reduction would be a hidden β: a model of more features would be regularised less.
    error, divergence = draw(6).square(), draw(6, 3, seed=2).square()
    found = elbo.objective(error, divergence, beta=4.0)
    torch.testing.assert_close(found.reconstruction, error.mean())
    torch.testing.assert_close(found.kl, divergence.sum(1).mean())
    torch.testing.assert_close(found.loss, found.reconstruction + 4.0 * found.kl)
    images = draw(6, 4, 5), draw(6, 4, 5, seed=1)
    expected = 0.5 * (images[0] - images[1]).square().sum(dim=(1, 2))
    torch.testing.assert_close(elbo.gaussian_error(Gaussian(images[0], None), images[1]), expected)


def test_free_bits_cost_nothing_per_latent_of_the_batch_and_the_reported_kl_stays_whole():
    # Means over the batch: 0.2, 1.0, 3.0. Single tracks lie on both sides of 0.5; what counts is their mean.
    divergence = torch.tensor([[0.0, 0.4, 2.0], [0.4, 1.6, 4.0]]).requires_grad_()
    found = elbo.objective(torch.zeros(2), divergence, beta=2.0, free_bits=0.5)
    assert found.kl.item() == pytest.approx(4.2)
    assert found.loss.item() == pytest.approx(2.0 * (0.5 + 1.0 + 3.0))
    found.loss.backward()
    assert divergence.grad.tolist() == [[0.0, 1.0, 1.0]] * 2  # β / batch where it is paid for


# A mixture of Gaussians as prior


def test_responsibilities_are_those_of_scikit_learn():
    prior, latent, peer = mixture(), 2 * draw(50, 3), GaussianMixture(4, covariance_type="diag")
    peer.weights_, peer.means_ = prior.logits.softmax(0).numpy(), prior.mean.numpy()
    peer.covariances_ = prior.log_var.exp().numpy()
    peer.precisions_cholesky_ = peer.covariances_**-0.5
    np.testing.assert_allclose(elbo.responsibilities(latent, prior), peer.predict_proba(latent.numpy()), atol=1e-12)


def test_a_mixture_of_one_standard_normal_is_the_ordinary_prior():
    posterior, latent = gaussian(6, 3), draw(6, 3, seed=4)
    prior = Mixture(torch.full((1,), 5.0).double(), torch.zeros(1, 3).double(), torch.zeros(1, 3).double())
    found = elbo.mixture_divergence(posterior, latent, prior)
    torch.testing.assert_close(found[:, :3], elbo.kl_divergence(posterior))
    assert not found[:, 3].any()
    torch.testing.assert_close(elbo.log_ratio(posterior, latent, prior), elbo.log_ratio(posterior, latent))


def test_the_divergence_from_a_mixture_equals_the_equation_of_vade():
    # Jiang et al. 2017, equation 12 without its first line, the reconstruction; written out track by track.
    posterior, prior, latent = gaussian(5, 3), mixture(), draw(5, 3, seed=8)
    weights, found = prior.logits.softmax(0), elbo.mixture_divergence(posterior, latent, prior).sum(dim=1)
    for track in range(5):
        parts = Normal(prior.mean, (prior.log_var / 2).exp())
        joint = weights * parts.log_prob(latent[track]).sum(dim=1).exp()
        gamma = joint / joint.sum()
        mean, variance = posterior.mean[track], posterior.log_var[track].exp()
        ratio = (variance + (mean - prior.mean).square()) / prior.log_var.exp()
        bound = 0.5 * (1 + variance.log()).sum() - 0.5 * (gamma * (prior.log_var + ratio).sum(dim=1)).sum()
        torch.testing.assert_close(found[track], -(bound + (gamma * torch.log(weights / gamma)).sum()))


def test_the_divergence_from_a_mixture_is_never_below_the_true_one():
    # The true divergence has no closed form: 20000 draws put it within 0.05. A bound below it would not be one.
    posterior, prior = gaussian(6, 3), mixture()
    draws = posterior.mean + (posterior.log_var / 2).exp() * draw(20000, 6, 3, seed=3)
    true = (normal(posterior).log_prob(draws) - as_distribution(prior).log_prob(draws)).mean(0)
    repeated = Gaussian(*(part.repeat(20000, 1) for part in posterior))
    bound = elbo.mixture_divergence(repeated, draws.flatten(0, 1), prior).sum(1).view(20000, 6)
    assert (bound.mean(0) > true - 0.05).all()


def test_gradients_stay_finite_where_a_component_is_out_of_reach():
    # A component a thousand units away has a responsibility of exactly zero.
    latent, log_var = draw(4, 2).float().requires_grad_(), torch.zeros(4, 2, requires_grad=True)
    prior = Mixture(torch.zeros(2), torch.tensor([[0.0, 0.0], [1000.0, 1000.0]]), torch.zeros(2, 2))
    prior = Mixture(*(part.requires_grad_() for part in prior))
    elbo.mixture_divergence(Gaussian(latent, log_var), latent, prior).sum().backward()
    assert elbo.responsibilities(latent, prior)[0, 1] == 0
    assert all(value.grad.isfinite().all() for value in (latent, log_var, *prior))


# A product of experts


def test_a_product_of_experts_is_the_normalised_product_of_their_densities_with_the_prior_counted_once():
    grid = torch.linspace(-8, 8, 4001).double()
    density, experts = Normal(0.0, 1.0).log_prob(grid).exp(), []
    for mean, scale in ((1.0, 0.7), (-2.0, 1.7)):
        density = density * Normal(mean, scale).log_prob(grid).exp()
        experts.append(Gaussian(torch.full((1, 1), mean), torch.full((1, 1), 2 * math.log(scale))))
    density = density / density.sum()
    mean = (density * grid).sum()
    fused = elbo.product_of_experts(experts)
    assert fused.mean.item() == pytest.approx(mean.item(), abs=1e-5)
    assert fused.log_var.exp().item() == pytest.approx((density * (grid - mean) ** 2).sum().item(), abs=1e-5)


def test_a_missing_modality_weighs_nothing_and_gets_no_gradient_and_none_at_all_is_the_prior():
    known, other = gaussian(4, 2), gaussian(4, 2, seed=7)
    guess = (1e6 * draw(4, 2, seed=2)).requires_grad_()
    absent = Gaussian(guess, torch.full_like(known.mean, torch.inf))
    fused = elbo.product_of_experts([known, other, absent])
    torch.testing.assert_close(fused, elbo.product_of_experts([known, other]))
    fused.mean.sum().backward()
    assert not guess.grad.any()
    nothing = elbo.product_of_experts([absent, absent])
    assert not nothing.mean.any()
    assert not nothing.log_var.any()


def test_experts_who_are_all_but_certain_do_not_overflow():
    sure = Gaussian(torch.full((1, 1), 2.0), torch.full((1, 1), -200.0))
    fused = elbo.product_of_experts([sure, Gaussian(-sure.mean, -sure.log_var)])
    assert fused.mean.item() == pytest.approx(2.0)
    assert fused.log_var.item() == pytest.approx(-200.0)


def test_a_single_expert_passes_through_and_points_are_averaged():
    only = gaussian(4, 2)
    assert elbo.product_of_experts([only]) is only
    fused = elbo.product_of_experts([Gaussian(draw(4, 2, seed=seed), None) for seed in (1, 2)])
    torch.testing.assert_close(fused.mean, (draw(4, 2, seed=1) + draw(4, 2, seed=2)) / 2)
    assert fused.log_var is None


# The importance-weighted bound


def test_the_bound_rises_from_the_elbo_to_the_log_likelihood():
    # x = W z + noise has a likelihood in closed form; the posterior is put beside the true one.
    weights, x = draw(5, 2), draw(4, 5, seed=1)
    posterior = Gaussian(0.3 * draw(4, 2, seed=2), torch.full((4, 2), math.log(0.4)).double())
    repeated = Gaussian(*(part.repeat(20000, 1) for part in posterior))
    latents = elbo.reparameterize(repeated, draw(80000, 2, seed=3))
    error = elbo.gaussian_error(Gaussian(latents @ weights.T, None), x.repeat(20000, 1))
    log_weights = (elbo.log_ratio(repeated, latents) - error).view(20000, 4)
    covariance = weights @ weights.T + torch.eye(5).double()
    likelihood = MultivariateNormal(torch.zeros(5).double(), covariance).log_prob(x) + 2.5 * math.log(2 * math.pi)
    one, ten, many = (
        (log_weights.view(-1, samples, 4).logsumexp(dim=1) - math.log(samples)).mean(0) for samples in (1, 10, 20000)
    )
    torch.testing.assert_close(one, log_weights.mean(0))  # the ELBO
    assert (one < ten).all()
    assert (ten < likelihood + 0.05).all()
    torch.testing.assert_close(many, likelihood, atol=0.1, rtol=0)


def test_the_ratio_of_prior_and_posterior_is_that_of_their_densities():
    posterior, latent = gaussian(6, 3), draw(6, 3, seed=4)
    standard = Independent(Normal(torch.zeros(3).double(), 1.0), 1)
    for prior, peer in ((None, standard), (mixture(), as_distribution(mixture()))):
        expected = peer.log_prob(latent) - normal(posterior).log_prob(latent)
        torch.testing.assert_close(elbo.log_ratio(posterior, latent, prior), expected)
