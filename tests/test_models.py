"""One contract over every recipe: what a notebook relies on when it trains one by name."""

import pytest
import torch

from vae_lib import elbo, networks
from vae_lib.checks import ParameterError
from vae_lib.models import RECIPES

MEMBERS, BATCH, WIDTH, LATENT = 3, 4, 7, 2


def generators(seed=0):
    return [torch.Generator().manual_seed(seed + member) for member in range(MEMBERS)]


def build(recipe, **architecture):
    options = {"latent_dim": LATENT, "hidden": (8, 6)} | architecture
    model = RECIPES[recipe].build({"audio": WIDTH}, members=MEMBERS, **options)
    networks.initialise(model, generators())
    return model


@pytest.fixture
def x():
    return torch.randn(MEMBERS, BATCH, WIDTH, generator=torch.Generator().manual_seed(9))


@pytest.fixture(params=list(RECIPES))
def recipe(request):
    return request.param


def test_shapes(recipe, x):
    output = build(recipe)({"audio": x}, generators())
    assert output.latent.shape == output.posterior.mean.shape == (MEMBERS, BATCH, LATENT)
    assert output.reconstructions["audio"].shape == x.shape


def test_every_parameter_gets_a_gradient(recipe, x):
    model = build(recipe, dropout=0.0)
    output = model({"audio": x}, generators())
    elbo.objective(output.reconstructions, {"audio": x}, output.posterior, beta=1.0).loss.sum().backward()
    without = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


def test_members_never_mix(recipe, x):
    model = build(recipe)
    changed = x.clone()
    changed[1] += 1.0
    before, after = (model({"audio": values}).reconstructions["audio"] for values in (x, changed))
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert not torch.equal(before[1], after[1])


def test_without_generators_a_pass_is_deterministic_and_uses_the_posterior_mean(recipe, x):
    model = build(recipe)
    first, second = model({"audio": x}), model({"audio": x})
    assert torch.equal(first.latent, first.posterior.mean)
    assert torch.equal(first.reconstructions["audio"], second.reconstructions["audio"])


def test_with_generators_a_pass_repeats_from_the_same_seed(recipe, x):
    model = build(recipe, dropout=0.5)
    runs = [model({"audio": x}, generators(seed)).reconstructions["audio"] for seed in (0, 0, 7)]
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_weights_load_back_to_equal_outputs(recipe, x):
    model, other = build(recipe), build(recipe)
    networks.initialise(other, generators(5))
    assert not torch.equal(model({"audio": x}).latent, other({"audio": x}).latent)
    other.load_state_dict(model.state_dict())
    assert torch.equal(model({"audio": x}).latent, other({"audio": x}).latent)


def test_a_members_weights_do_not_depend_on_its_company():
    alone, company = networks.EnsembleLinear(1, 5, 4), networks.EnsembleLinear(MEMBERS, 5, 4)
    networks.initialise(company, generators())
    networks.initialise(alone, generators()[2:])
    assert torch.equal(alone.weight[0], company.weight[2])
    assert torch.equal(alone.bias[0], company.bias[2])


def test_a_layer_equals_torchs_own_for_each_member(x):
    layer = networks.EnsembleLinear(MEMBERS, WIDTH, 5)
    networks.initialise(layer, generators())
    for member in range(MEMBERS):
        expected = torch.nn.functional.linear(x[member], layer.weight[member].T, layer.bias[member, 0])
        torch.testing.assert_close(layer(x)[member], expected)


def test_dropout_drops_the_share_asked_for_and_keeps_the_mean():
    body = networks.MLP(1, [1, 4000], dropout=0.25)
    with torch.no_grad():
        body.layers[0].weight.fill_(0.0)
        body.layers[0].bias.fill_(1.0)
    out = body(torch.zeros(1, 5, 1), [torch.Generator().manual_seed(0)])
    assert (out == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert out.mean().item() == pytest.approx(1.0, abs=0.03)


def test_the_autoencoder_has_no_variance_to_learn():
    assert build("ae").encode({"audio": torch.zeros(MEMBERS, BATCH, WIDTH)}).log_var is None
    assert build("vae").encode({"audio": torch.zeros(MEMBERS, BATCH, WIDTH)}).log_var is not None


def test_two_modalities_fuse_into_one_posterior():
    model = RECIPES["vae"].build({"audio": 5, "lyrics": 3}, members=1, latent_dim=2, hidden=(4,), dropout=0.0)
    networks.initialise(model, [torch.Generator().manual_seed(0)])
    inputs = {"audio": torch.randn(1, 6, 5), "lyrics": torch.randn(1, 6, 3)}
    parts = [model.encoders[name](values) for name, values in inputs.items()]
    torch.testing.assert_close(model.encode(inputs).mean, elbo.product_of_experts(parts).mean)
    assert {name: out.shape[-1] for name, out in model(inputs).reconstructions.items()} == {"audio": 5, "lyrics": 3}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_dim": 0}, "latent_dim must be a whole number of at least 1, got 0"),
        ({"hidden": (8, 2.5)}, "hidden must be a whole number of at least 1, got 2.5"),
        ({"dropout": 1.0}, "dropout must be a number in"),
    ],
)
def test_a_bad_option_names_itself(options, message):
    with pytest.raises(ParameterError, match=message.replace("[", r"\[")):
        build("vae", **options)
