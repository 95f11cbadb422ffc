"""Each equation against a closed form or torch's own distributions: a wrong one would change every result."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from vae_lib import elbo
from vae_lib.elbo import Gaussian


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_kl_equals_that_of_torch_distributions():
    mean, log_var = draw(2, 5, 3), draw(2, 5, 3, seed=1)
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


def test_a_point_is_its_own_sample():
    mean = draw(1, 4, 2)
    assert torch.equal(elbo.sample(Gaussian(mean, None), draw(1, 4, 2, seed=1)), mean)


def test_product_of_experts_equals_the_closed_form_with_the_prior_counted_once():
    first, second = (Gaussian(draw(1, 4, 2, seed=s), draw(1, 4, 2, seed=s + 9)) for s in (1, 2))
    precision = 1 + torch.exp(-first.log_var) + torch.exp(-second.log_var)
    mean = (first.mean * torch.exp(-first.log_var) + second.mean * torch.exp(-second.log_var)) / precision
    fused = elbo.product_of_experts([first, second])
    torch.testing.assert_close(fused.log_var, -precision.log())
    torch.testing.assert_close(fused.mean, mean)


def test_a_missing_modality_weighs_nothing():
    known = Gaussian(draw(1, 4, 2), draw(1, 4, 2, seed=1))
    missing = Gaussian(draw(1, 4, 2, seed=2), torch.full((1, 4, 2), torch.inf, dtype=torch.float64))
    precision = 1 + torch.exp(-known.log_var)
    fused = elbo.product_of_experts([known, missing])
    torch.testing.assert_close(fused.mean, known.mean * torch.exp(-known.log_var) / precision)


def test_a_single_expert_passes_through():
    only = Gaussian(draw(1, 4, 2), draw(1, 4, 2, seed=1))
    assert elbo.product_of_experts([only]) is only


def test_objective_sums_over_features_averages_over_tracks_and_weighs_the_kl():
    x, out = draw(2, 6, 5), draw(2, 6, 5, seed=1)
    posterior = Gaussian(draw(2, 6, 3, seed=2), draw(2, 6, 3, seed=3))
    terms = elbo.objective({"audio": out}, {"audio": x}, posterior, beta=4.0)
    reconstruction = (-Normal(out, 1.0).log_prob(x) - 0.5 * math.log(2 * math.pi)).sum(2).mean(1)
    torch.testing.assert_close(terms.reconstruction, reconstruction)
    torch.testing.assert_close(terms.kl, elbo.kl_divergence(posterior).sum(2).mean(1))
    torch.testing.assert_close(terms.loss, terms.reconstruction + 4.0 * terms.kl)


def test_objective_does_not_depend_on_how_the_batch_is_split():
    x, out = draw(1, 6, 5), draw(1, 6, 5, seed=1)
    mean, log_var = draw(1, 6, 3, seed=2), draw(1, 6, 3, seed=3)
    whole = elbo.objective({"a": out}, {"a": x}, Gaussian(mean, log_var), beta=1.0).loss
    parts = [
        elbo.objective({"a": out[:, s]}, {"a": x[:, s]}, Gaussian(mean[:, s], log_var[:, s]), beta=1.0).loss
        for s in (slice(0, 3), slice(3, 6))
    ]
    torch.testing.assert_close(whole, sum(parts) / 2)


def test_active_units_counts_the_latents_that_vary():
    mean = torch.zeros(2, 50, 3)
    mean[0, :, 1] = torch.linspace(-1, 1, 50)
    mean[1, :, :2] = torch.linspace(-1, 1, 50)[:, None]
    assert elbo.active_units(mean).tolist() == [1, 2]
