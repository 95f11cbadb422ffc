"""One contract over every recipe: what a notebook relies on when it trains one by name."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from vae_lib.checks import ParameterError
from vae_lib.models import RECIPES, compose, elbo
from vae_lib.models.inputs import Inputs

BATCH, LATENT, CATEGORIES = 5, 2, 2
SMALL = {"latent_dim": LATENT, "hidden": (8, 6), "channels": (2, 3)}


def draw(*shape, seed=9):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def from_one_seed():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def shapes(recipe):
    """What the recipe must be given, and no more."""
    if RECIPES[recipe].image:
        return {"log_mel": (6, 5)}
    return {"audio": (7,), "lyrics": (4,)} if RECIPES[recipe].modalities > 1 else {"audio": (7,)}


def build(recipe, **architecture):
    categories = CATEGORIES if RECIPES[recipe].conditional else 0
    model = compose(shapes(recipe), categories=categories, **RECIPES[recipe].defaults | SMALL | architecture)
    if model.prior is not None:  # as they would stand after a start from an autoencoder: apart
        with torch.no_grad():
            model.prior.mean.copy_(draw(*model.prior.mean.shape, seed=1))
    return model


def tracks(recipe, batch=BATCH):
    tensors = {name: draw(batch, *shape) for name, shape in shapes(recipe).items()}
    present, context = None, None
    if RECIPES[recipe].conditional:
        context = torch.eye(CATEGORIES)[torch.arange(batch) % CATEGORIES]
    if RECIPES[recipe].modalities > 1:
        present = {"audio": torch.ones(batch), "lyrics": torch.ones(batch)}
        present["lyrics"][1], tensors["lyrics"][1] = 0.0, 0.0
    return Inputs(tensors, present, context)


def loss(model, batch, **options):
    output = model(batch, **options)
    return elbo.objective(model.error(output.reconstructions, batch), output.divergence, beta=1.0).loss


@pytest.fixture(params=list(RECIPES))
def recipe(request):
    return request.param


def test_shapes(recipe):
    batch, model = tracks(recipe), build(recipe)
    output = model(batch)
    assert output.latent.shape == output.posterior.mean.shape == (BATCH, LATENT)
    assert output.divergence.shape == (BATCH, LATENT + (model.prior is not None))
    assert {n: out.mean.shape for n, out in output.reconstructions.items()} == {
        n: x.shape for n, x in batch.tensors.items()
    }


@pytest.mark.parametrize(
    "options", [{}, {"normalisation": "layer", "decoder_variance": "learnt"}], ids=["plain", "normalised"]
)
def test_every_parameter_gets_a_gradient(recipe, options):
    # One without would stay as it was drawn, and the latents would be partly noise.
    batch, model = tracks(recipe, batch=40), build(recipe, dropout=0.0, **options)
    loss(model, batch).backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_in_evaluation_tracks_never_mix_and_the_latent_is_the_posterior_mean(recipe):
    batch, model = tracks(recipe), build(recipe, dropout=0.5, input_noise=0.5).eval()
    whole, alone = model(batch), model(batch.rows(slice(3, 4)))
    assert torch.equal(whole.latent, whole.posterior.mean)
    assert torch.equal(whole.latent, model(batch).latent)
    torch.testing.assert_close(alone.latent, whole.latent[3:4])
    for name, out in alone.reconstructions.items():
        torch.testing.assert_close(out.mean, whole.reconstructions[name].mean[3:4])


def test_while_training_every_pass_draws_anew_and_what_is_given_is_left_as_it_is(recipe):
    batch, model = tracks(recipe), build(recipe, dropout=0.5, input_noise=0.5)
    before = {name: x.clone() for name, x in batch.tensors.items()}
    passes = [model(batch) for _ in range(2)]
    assert not torch.equal(passes[0].posterior.mean, passes[1].posterior.mean)
    assert model.point or not torch.equal(passes[0].latent, passes[0].posterior.mean)
    assert all(torch.equal(batch.tensors[name], x) for name, x in before.items())


@pytest.mark.parametrize("recipe", [name for name, recipe in RECIPES.items() if recipe.conditional])
def test_the_label_reaches_encoder_and_decoder(recipe):
    batch, model = tracks(recipe), build(recipe).eval()
    other = replace(batch, context=batch.context.flip(1))
    assert not torch.allclose(model.encode(batch).mean, model.encode(other).mean)
    told, told_otherwise = (model.decode(draw(BATCH, LATENT), of.context) for of in (batch, other))
    assert all(not torch.allclose(told[name].mean, told_otherwise[name].mean) for name in told)


@pytest.mark.parametrize("recipe", [name for name, recipe in RECIPES.items() if recipe.modalities > 1])
def test_what_stands_in_the_place_of_a_missing_modality_changes_nothing(recipe):
    batch, model, results = tracks(recipe), build(recipe).eval(), []
    for filler in (0.0, 1e4):
        batch.tensors["lyrics"][1] = filler
        model.zero_grad()
        loss(model, batch).backward()
        results.append((model(batch).latent, [weight.grad.clone() for weight in model.parameters()]))
    torch.testing.assert_close(results[0], results[1])
    # It is reconstructed from the others instead.
    changed = replace(batch, tensors=batch.tensors | {"audio": batch.tensors["audio"] + 1.0})
    before, after = (model(of).reconstructions["lyrics"].mean[1] for of in (batch, changed))
    assert not torch.allclose(before, after)


def test_input_noise_is_on_what_is_heard_and_never_on_the_target():
    batch, model = tracks("vae", batch=4000), build("vae", hidden=(), input_noise=0.5)
    heard, (head,) = [], [encoder.head for encoder in model.encoders.values()]
    head.register_forward_hook(lambda module, given, out: heard.append(given[0]))
    output = model(batch)
    assert (heard[0] - batch.tensors["audio"]).std().item() == pytest.approx(0.5, rel=0.05)
    clean = 0.5 * (output.reconstructions["audio"].mean - batch.tensors["audio"]).square().sum(1)
    torch.testing.assert_close(model.error(output.reconstructions, batch), clean)


def test_the_prior_of_vade_is_the_mixture_of_its_parameters_and_no_other_recipe_has_one():
    batch, model = tracks("vade"), build("vade", components=4)
    output = model(batch)
    expected = elbo.mixture_divergence(output.posterior, output.latent, model.prior())
    assert model.prior.mean.shape == (4, LATENT)
    torch.testing.assert_close(output.divergence, expected)
    assert [name for name in RECIPES if build(name).prior is not None] == ["vade"]
    assert [name for name in RECIPES if build(name).encode(tracks(name)).log_var is None] == ["ae"]


def test_a_learnt_variance_is_one_per_column_and_band_and_none_of_a_direction():
    sizes = {"audio": (7,), "log_mel": (6, 5), "lyrics": (4,)}
    model = compose(sizes, decoder_variance="learnt", errors={"lyrics": "cosine"}, **SMALL)
    found = {name: decoder.log_var for name, decoder in model.decoders.items()}
    assert found["audio"].shape == (7,)
    assert found["log_mel"].shape == (6, 1)
    assert found["lyrics"] is None


@pytest.mark.parametrize("image", [(8, 8), (7, 9), (1, 1), (13, 2)])
@pytest.mark.parametrize("channels", [(8,), (8, 8, 16)])
def test_images_of_any_size_come_back_in_that_size_and_every_pixel_counts(image, channels):
    # An image of odd size is extended, not cropped: a last frame that is cut off would be lost on the way in.
    model = compose({"log_mel": image}, latent_dim=LATENT, hidden=(20,), channels=channels, dropout=0.0).eval()
    x = draw(30, *image).requires_grad_()
    batch = Inputs({"log_mel": x})
    assert model(batch).reconstructions["log_mel"].mean.shape == x.shape
    model.encode(batch).mean.sum().backward()
    assert x.grad.abs().sum(dim=0).all()
    assert model.decode(draw(50, LATENT))["log_mel"].mean.std(dim=0).all()


def test_weights_start_from_the_inverse_root_of_what_reaches_a_unit():
    model = compose({"audio": (50,), "log_mel": (16, 16)}, hidden=(400,), channels=(16, 16))
    for layer in model.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            # A pixel of a doubling convolution is reached by a quarter of its kernel: else images would fade.
            fan_in = layer.weight[0].numel() if not isinstance(layer, nn.ConvTranspose2d) else layer.in_channels * 4
            assert layer.weight.abs().max().item() == pytest.approx(fan_in**-0.5, rel=0.1)
            assert layer.weight.std().item() == pytest.approx((3 * fan_in) ** -0.5, rel=0.1)
            assert layer.bias.abs().max().item() <= fan_in**-0.5


@pytest.mark.parametrize(
    ("recipe", "hidden", "latent", "beta"),
    [("published_vae", [256, 128, 64], 32, 1.0), ("published_beta_vae", [512, 256, 128], 64, 4.0)],
)
def test_published_models_have_the_published_sizes_and_loss(recipe, hidden, latent, beta):
    d, plan = 50, RECIPES[recipe]
    model = compose({"audio": (d,)}, **plan.defaults)
    widths = [(layer.in_features, layer.out_features) for layer in model.modules() if isinstance(layer, nn.Linear)]
    steps, back = [d, *hidden], [latent, *hidden[::-1], d]
    assert sorted(widths) == sorted([*itertools.pairwise(steps), (hidden[-1], 2 * latent), *itertools.pairwise(back)])
    assert {layer.p for layer in model.modules() if isinstance(layer, nn.Dropout)} == {0.2}

    # The original's loss, summed over a batch: squared error plus β times the KL of Kingma & Welling, appendix B.
    batch = Inputs({"audio": draw(BATCH, d)})
    output = model(batch)
    mean, log_var = output.posterior
    published = nn.functional.mse_loss(output.reconstructions["audio"].mean, batch.tensors["audio"], reduction="sum")
    published = published - beta * 0.5 * torch.sum(1 + log_var - mean.pow(2) - log_var.exp())
    ours = elbo.objective(model.error(output.reconstructions, batch), output.divergence, beta=plan.beta)
    torch.testing.assert_close(2 * BATCH * ours.loss, published)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_dim": 0}, "latent_dim must be a whole number from 1 to 65536, got 0"),
        ({"channels": "8"}, "channels must be a list of whole numbers of at least 1, got '8'"),
        ({"channels": ()}, "channels must hold at least one number for images, got none"),
        ({"dropout": 1.0}, "dropout must be a number in [0, 0.95], got 1.0"),
        ({"normalisation": "batch"}, "normalisation must be one of none, layer, got 'batch'"),
        ({"components": 3, "point": True}, "components must be 0 for an autoencoder: a point has no prior, got 3"),
        ({"errors": "cosine"}, "errors must map modalities to names, such as {'lyrics': 'cosine'}, got 'cosine'"),
        ({"errors": {"lyrics": "cosine"}}, "errors must be one of audio, log_mel, got 'lyrics'"),
        ({"errors": {"audio": "l1"}}, "errors['audio'] must be one of gaussian, cosine, got 'l1'"),
        ({"errors": {"log_mel": "cosine"}}, "errors['log_mel'] must be one of gaussian, got 'cosine'"),
    ],
)
def test_a_bad_option_names_itself(options, message):
    with pytest.raises(ParameterError) as caught:
        compose({"audio": (7,), "log_mel": (6, 5)}, **options)
    assert str(caught.value) == message
