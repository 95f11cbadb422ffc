"""Each equation against a closed form, torch's distributions or scikit-learn: a wrong one would change every result."""

import math

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from vae_lib import elbo
from vae_lib.elbo import Gaussian, Mixture


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian(*shape, seed=0):
    return Gaussian(draw(*shape, seed=seed), draw(*shape, seed=seed + 100))


def mixture(members=2, components=4, latent=3, seed=50):
    shape = (members, components, latent)
    return Mixture(draw(members, components, seed=seed), 2 * draw(*shape, seed=seed + 1), draw(*shape, seed=seed + 2))


# The divergence from a standard normal, and samples


def test_kl_equals_that_of_torch_distributions():
    mean, log_var = gaussian(2, 5, 3)
    expected = kl_divergence(Normal(mean, torch.exp(log_var / 2)), Normal(0.0, 1.0))
    torch.testing.assert_close(elbo.kl_divergence(Gaussian(mean, log_var)), expected)


def test_kl_of_the_prior_is_zero_and_of_a_point_is_not_counted():
    zero = torch.zeros(1, 4, 2)
    assert torch.all(elbo.kl_divergence(Gaussian(zero, zero)) == 0)
    assert torch.all(elbo.kl_divergence(Gaussian(draw(1, 4, 2), None)) == 0)


def test_samples_have_the_posteriors_mean_and_spread():
    posterior = Gaussian(torch.full((1, 20000, 1), 3.0), torch.full((1, 20000, 1), math.log(4.0)))
    samples = elbo.sample(posterior, draw(1, 20000, 1).float())
    assert samples.mean().item() == pytest.approx(3.0, abs=0.05)
    assert samples.std().item() == pytest.approx(2.0, abs=0.05)


def test_a_sample_without_noise_is_the_mean_and_a_point_is_its_own_sample():
    posterior = gaussian(1, 4, 2)
    assert torch.equal(elbo.sample(posterior, torch.zeros(1, 4, 2)), posterior.mean)
    assert torch.equal(elbo.sample(Gaussian(posterior.mean, None), draw(1, 4, 2, seed=1)), posterior.mean)


def test_gradients_of_a_sample_reach_mean_and_variance():
    # Reparameterised: d sample / d mean = 1 and d sample / d log_var = σ · noise / 2; else the encoder would not learn.
    mean, log_var = (part.requires_grad_() for part in gaussian(1, 4, 2))
    noise = draw(1, 4, 2, seed=9)
    elbo.sample(Gaussian(mean, log_var), noise).sum().backward()
    assert torch.equal(mean.grad, torch.ones_like(mean))
    torch.testing.assert_close(log_var.grad, 0.5 * torch.exp(log_var.detach() / 2) * noise)


# Reconstruction terms


def test_gaussian_error_is_the_negative_log_likelihood_without_its_constant():
    x, out = draw(2, 6, 4, 5), draw(2, 6, 4, 5, seed=1)
    expected = (-Normal(out, 1.0).log_prob(x) - 0.5 * math.log(2 * math.pi)).sum(dim=(2, 3))
    torch.testing.assert_close(elbo.gaussian_error(out, x), expected)


def test_cosine_error_asks_for_the_direction_only():
    x = draw(1, 3, 5)
    torch.testing.assert_close(elbo.cosine_error(7.0 * x, x), torch.zeros(1, 3, dtype=torch.float64))
    torch.testing.assert_close(elbo.cosine_error(-0.1 * x, x), torch.full((1, 3), 10.0, dtype=torch.float64))
    orthogonal = torch.tensor([[[1.0, 0.0, 0.0]]]), torch.tensor([[[0.0, 2.0, 0.0]]])
    assert elbo.cosine_error(*orthogonal).item() == pytest.approx(3.0)
    out = draw(1, 200, 5, seed=1), draw(1, 200, 5, seed=2)
    assert ((elbo.cosine_error(*out) >= 0) & (elbo.cosine_error(*out) <= 10)).all()
    torch.testing.assert_close(elbo.cosine_error(3.0 * out[0], out[1]), elbo.cosine_error(*out))


def test_cosine_error_of_an_empty_reconstruction_or_target_has_a_finite_gradient():
    # A network may give exactly zero, and a missing track holds zeros: a NaN here would end the training.
    for out, x in ((torch.zeros(1, 2, 3), torch.ones(1, 2, 3)), (torch.ones(1, 2, 3), torch.zeros(1, 2, 3))):
        out.requires_grad_()
        elbo.cosine_error(out, x).sum().backward()
        assert out.grad.isfinite().all()


# The objective


def terms(x, out, divergence, **options):
    options = {"beta": 1.0, "errors": {"audio": "gaussian"}} | options
    return elbo.objective({"audio": out}, {"audio": x}, divergence, **options)


def test_the_objective_at_beta_one_is_the_negative_elbo_of_torch_distributions():
    x, out, posterior = draw(2, 6, 5), draw(2, 6, 5, seed=1), gaussian(2, 6, 3, seed=2)
    likelihood = Independent(Normal(out, 1.0), 1).log_prob(x)
    approximate = Independent(Normal(posterior.mean, torch.exp(posterior.log_var / 2)), 1)
    prior = Independent(Normal(torch.zeros(3).double(), torch.ones(3).double()), 1)
    bound = (likelihood - kl_divergence(approximate, prior)).mean(dim=1)
    constant = 5 * 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(terms(x, out, elbo.kl_divergence(posterior)).loss, -bound - constant)


def test_objective_sums_over_features_and_latents_averages_over_tracks_and_weighs_the_kl():
    x, out, divergence = draw(2, 6, 5), draw(2, 6, 5, seed=1), elbo.kl_divergence(gaussian(2, 6, 3, seed=2))
    found = terms(x, out, divergence, beta=4.0)
    torch.testing.assert_close(found.reconstruction, 0.5 * (x - out).square().sum(2).mean(1))
    torch.testing.assert_close(found.kl, divergence.sum(2).mean(1))
    torch.testing.assert_close(found.loss, found.reconstruction + 4.0 * found.kl)


def test_twice_the_features_and_latents_give_twice_the_loss_and_twice_the_tracks_the_same():
    # Another reduction would be a hidden β: a model of more features would be regularised less.
    x, out, divergence = draw(1, 6, 5), draw(1, 6, 5, seed=1), draw(1, 6, 3, seed=2)
    once = terms(x, out, divergence)
    wide = terms(*(torch.cat([part, part], dim=2) for part in (x, out, divergence)))
    long = terms(*(torch.cat([part, part], dim=1) for part in (x, out, divergence)))
    for name in once._fields:
        torch.testing.assert_close(getattr(wide, name), 2 * getattr(once, name))
        torch.testing.assert_close(getattr(long, name), getattr(once, name))


@pytest.mark.parametrize("size", [1, 2, 5, 7])
def test_objective_does_not_depend_on_how_the_batch_is_split(size):
    x, out, divergence = draw(1, 7, 5), draw(1, 7, 5, seed=1), draw(1, 7, 3, seed=2)
    whole = terms(x, out, divergence, beta=2.0)
    parts = zip(*(part.split(size, dim=1) for part in (x, out, divergence)), strict=True)
    weighed = sum(terms(*part, beta=2.0).loss * part[0].shape[1] for part in parts) / 7
    torch.testing.assert_close(weighed, whole.loss)


def test_each_modality_has_its_own_term_and_their_sum_is_the_reconstruction():
    x = {"audio": draw(2, 6, 5), "lyrics": draw(2, 6, 4, seed=1)}
    out = {"audio": draw(2, 6, 5, seed=2), "lyrics": draw(2, 6, 4, seed=3)}
    errors = {"audio": "gaussian", "lyrics": "cosine"}
    found = elbo.objective(out, x, torch.zeros(2, 6, 3), beta=1.0, errors=errors)
    expected = elbo.gaussian_error(out["audio"], x["audio"]) + elbo.cosine_error(out["lyrics"], x["lyrics"])
    torch.testing.assert_close(found.reconstruction, expected.mean(1))


def test_nothing_is_to_be_reconstructed_where_a_modality_is_missing():
    x, out = draw(1, 4, 5), draw(1, 4, 5, seed=1).requires_grad_()
    present = {"audio": torch.tensor([[1.0, 0.0, 1.0, 0.0]])}
    found = terms(x, out, torch.zeros(1, 4, 2), present=present)
    there = elbo.gaussian_error(out, x)[:, [0, 2]]
    torch.testing.assert_close(found.reconstruction, there.sum(1) / 4)  # a mean over tracks, not over those present
    found.loss.sum().backward()
    assert not out.grad[0, [1, 3]].any()
    assert out.grad[0, [0, 2]].all()


def test_free_bits_cost_nothing_per_latent_of_the_batch_and_the_reported_kl_stays_whole():
    # Means over the batch: 0.2, 1.0, 3.0. Single tracks lie on both sides of 0.5; what counts is their mean.
    divergence = torch.tensor([[[0.0, 0.4, 2.0], [0.4, 1.6, 4.0]]]).double().requires_grad_()
    found = terms(torch.zeros(1, 2, 5), torch.zeros(1, 2, 5), divergence, beta=2.0, free_bits=0.5)
    assert found.kl.item() == pytest.approx(0.2 + 1.0 + 3.0)
    assert found.loss.item() == pytest.approx(2.0 * (0.5 + 1.0 + 3.0))
    found.loss.sum().backward()
    assert divergence.grad[0].tolist() == [[0.0, 1.0, 1.0]] * 2  # β / batch where it is paid for


def test_a_beta_of_zero_leaves_the_reconstruction_alone():
    x, out = draw(1, 4, 5), draw(1, 4, 5, seed=1)
    found = terms(x, out, torch.full((1, 4, 2), 9.0), beta=0.0)
    assert torch.equal(found.loss, found.reconstruction)


# A mixture of Gaussians as prior


def test_responsibilities_are_those_of_scikit_learn():
    mixtures, latent = mixture(), 2 * draw(2, 50, 3)
    found = elbo.responsibilities(latent, mixtures)
    torch.testing.assert_close(found.sum(dim=2), torch.ones(2, 50).double())
    for member in range(2):
        peer = GaussianMixture(4, covariance_type="diag")
        peer.weights_ = mixtures.logits[member].softmax(0).numpy()
        peer.means_, peer.covariances_ = mixtures.mean[member].numpy(), mixtures.log_var[member].exp().numpy()
        peer.precisions_cholesky_ = peer.covariances_**-0.5
        np.testing.assert_allclose(found[member], peer.predict_proba(latent[member].numpy()), atol=1e-12)


def test_a_mixture_of_one_standard_normal_is_the_ordinary_prior():
    posterior = gaussian(2, 6, 3)
    prior = Mixture(torch.full((2, 1), 5.0), torch.zeros(2, 1, 3), torch.zeros(2, 1, 3))
    found = elbo.mixture_divergence(posterior, draw(2, 6, 3, seed=4), prior)
    torch.testing.assert_close(found[..., :3], elbo.kl_divergence(posterior))
    assert torch.equal(found[..., 3], torch.zeros(2, 6).double())


def test_the_divergence_from_a_mixture_equals_the_equation_of_vade_term_by_term():
    # Jiang et al. 2017, equation 12 without its first line, the reconstruction; written out track by track.
    posterior, prior, latent = gaussian(2, 5, 3), mixture(), draw(2, 5, 3, seed=8)
    found = elbo.mixture_divergence(posterior, latent, prior).sum(dim=2)
    for member in range(2):
        weights = prior.logits[member].softmax(0)
        for track in range(5):
            joint = [
                weights[c]
                * Normal(prior.mean[member, c], (prior.log_var[member, c] / 2).exp())
                .log_prob(latent[member, track])
                .sum()
                .exp()
                for c in range(4)
            ]
            gamma = torch.stack(joint) / sum(joint)
            mean, variance = posterior.mean[member, track], posterior.log_var[member, track].exp()
            bound = 0.5 * (1 + variance.log()).sum()
            for c in range(4):
                log_var = prior.log_var[member, c]
                ratio = (variance + (mean - prior.mean[member, c]).square()) / log_var.exp()
                bound += -0.5 * gamma[c] * (log_var + ratio).sum() + gamma[c] * torch.log(weights[c] / gamma[c])
            torch.testing.assert_close(found[member, track], -bound)


def test_the_divergence_from_a_mixture_is_never_below_the_true_one():
    # The true divergence has no closed form: 20000 draws put it within 0.05. A bound below it would not be one.
    posterior, prior = gaussian(1, 6, 3), mixture(members=1)
    approximate = Independent(Normal(posterior.mean[0], (posterior.log_var[0] / 2).exp()), 1)
    parts = Independent(Normal(prior.mean[0], (prior.log_var[0] / 2).exp()), 1)
    true_prior = MixtureSameFamily(Categorical(logits=prior.logits[0]), parts)
    draws = approximate.mean + (posterior.log_var[0] / 2).exp() * draw(20000, 6, 3, seed=3)
    true = (approximate.log_prob(draws) - true_prior.log_prob(draws)).mean(0)
    bound = elbo.mixture_divergence(
        Gaussian(posterior.mean.expand(2000, -1, -1), posterior.log_var.expand(2000, -1, -1)),
        draws[:2000],
        Mixture(*(part.expand(2000, *part.shape[1:]) for part in prior)),
    ).sum(2)
    assert (bound.mean(0) > true - 0.05).all()


def test_gradients_stay_finite_where_a_component_is_out_of_reach():
    # A component a thousand units away has a responsibility of exactly zero.
    latent = draw(1, 4, 2).float().requires_grad_()
    mean = torch.tensor([[[0.0, 0.0], [1000.0, 1000.0]]], requires_grad=True)
    prior = Mixture(torch.zeros(1, 2, requires_grad=True), mean, torch.zeros(1, 2, 2, requires_grad=True))
    log_var = torch.zeros(1, 4, 2, requires_grad=True)
    divergence = elbo.mixture_divergence(Gaussian(latent, log_var), latent, prior)
    divergence.sum().backward()
    assert elbo.responsibilities(latent, prior)[0, 0, 1] == 0
    assert divergence.isfinite().all()
    for value in (latent, log_var, *prior):
        assert value.grad.isfinite().all()


# A product of experts


def test_product_of_experts_equals_the_closed_form_with_the_prior_counted_once():
    experts = [gaussian(1, 4, 2, seed=seed) for seed in (1, 2, 3)]
    precision = 1 + sum(torch.exp(-expert.log_var) for expert in experts)
    mean = sum(expert.mean * torch.exp(-expert.log_var) for expert in experts) / precision
    fused = elbo.product_of_experts(experts)
    torch.testing.assert_close(fused.log_var, -precision.log())
    torch.testing.assert_close(fused.mean, mean)


def test_a_product_of_experts_is_the_normalised_product_of_their_densities():
    grid = torch.linspace(-8, 8, 4001).double()
    density, experts = Normal(0.0, 1.0).log_prob(grid).exp(), []
    for mean, scale in ((1.0, 0.7), (-2.0, 1.7)):
        density = density * Normal(mean, scale).log_prob(grid).exp()
        experts.append(Gaussian(torch.full((1, 1, 1), mean), torch.full((1, 1, 1), 2 * math.log(scale))))
    density = density / density.sum()
    mean = (density * grid).sum()
    fused = elbo.product_of_experts(experts)
    assert fused.mean.item() == pytest.approx(mean.item(), abs=1e-5)
    assert fused.log_var.exp().item() == pytest.approx((density * (grid - mean) ** 2).sum().item(), abs=1e-5)


def test_the_order_of_experts_does_not_matter():
    experts = [gaussian(1, 4, 2, seed=seed) for seed in (1, 2, 3)]
    for one, other in zip(elbo.product_of_experts(experts), elbo.product_of_experts(experts[::-1]), strict=True):
        torch.testing.assert_close(one, other)


def test_a_missing_modality_weighs_nothing_and_gets_no_gradient():
    known, other = gaussian(1, 4, 2), gaussian(1, 4, 2, seed=7)
    there = elbo.product_of_experts([known, other])
    guess = (1e6 * draw(1, 4, 2, seed=2)).requires_grad_()
    fused = elbo.product_of_experts([known, other, Gaussian(guess, torch.full_like(known.mean, torch.inf))])
    torch.testing.assert_close(fused.mean, there.mean)
    torch.testing.assert_close(fused.log_var, there.log_var)
    fused.mean.sum().backward()
    assert not guess.grad.any()


def test_what_is_known_of_no_modality_is_the_prior():
    nothing = Gaussian(draw(1, 4, 2), torch.full((1, 4, 2), torch.inf).double())
    fused = elbo.product_of_experts([nothing, nothing])
    assert not fused.mean.any()
    assert not fused.log_var.any()


def test_experts_who_are_all_but_certain_do_not_overflow():
    sure = Gaussian(torch.full((1, 1, 1), 2.0), torch.full((1, 1, 1), -200.0))
    fused = elbo.product_of_experts([sure, Gaussian(-sure.mean, torch.full((1, 1, 1), 200.0))])
    assert fused.mean.item() == pytest.approx(2.0)
    assert fused.log_var.item() == pytest.approx(-200.0)


def test_a_single_expert_passes_through_and_points_are_averaged():
    only = gaussian(1, 4, 2)
    assert elbo.product_of_experts([only]) is only
    points = [Gaussian(draw(1, 4, 2, seed=seed), None) for seed in (1, 2)]
    fused = elbo.product_of_experts(points)
    assert fused.log_var is None
    torch.testing.assert_close(fused.mean, (points[0].mean + points[1].mean) / 2)


# Active units


def test_active_units_counts_the_latents_that_vary():
    mean = torch.zeros(2, 50, 3)
    mean[0, :, 1] = torch.linspace(-1, 1, 50)
    mean[1, :, :2] = torch.linspace(-1, 1, 50)[:, None]
    mean[:, :, 2] = 5.0  # far from zero, but the same for every track
    assert elbo.active_units(mean).tolist() == [1, 2]


@pytest.mark.parametrize(("spread", "active"), [(0.11, 1), (0.09, 0)])
def test_a_latent_is_active_from_a_variance_of_a_hundredth(spread, active):
    mean = spread * torch.tensor([-1.0, 1.0]).repeat(500).view(1, 1000, 1)
    assert elbo.active_units(mean).tolist() == [active]


@pytest.mark.filterwarnings("error")
def test_a_single_track_has_no_active_units():
    assert elbo.active_units(draw(2, 1, 3)).tolist() == [0, 0]
