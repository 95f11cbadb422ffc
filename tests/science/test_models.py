"""One contract over every recipe: what a notebook relies on when it trains one by name."""

import itertools

import pytest
import torch

from vae_lib import elbo, networks
from vae_lib.checks import ParameterError
from vae_lib.models import RECIPES, compose

MEMBERS, BATCH, LATENT, CATEGORIES = 3, 5, 2, 2
SMALL = {"latent_dim": LATENT, "hidden": (8, 6), "channels": (2, 3)}
IMAGE = [name for name, recipe in RECIPES.items() if recipe.image]
CONDITIONAL = [name for name, recipe in RECIPES.items() if recipe.conditional]
MULTIMODAL = [name for name, recipe in RECIPES.items() if recipe.modalities > 1]


def generators(seed=0):
    return [torch.Generator().manual_seed(seed + member) for member in range(MEMBERS)]


def draw(*shape, seed=9):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def shapes(recipe):
    """What the recipe must be given, and no more."""
    if RECIPES[recipe].image:
        return {"log_mel": (6, 5)}
    return {"audio": (7,), "lyrics": (4,)} if RECIPES[recipe].modalities > 1 else {"audio": (7,)}


def build(recipe, **architecture):
    options = SMALL | {"categories": CATEGORIES if RECIPES[recipe].conditional else 0} | architecture
    model = RECIPES[recipe].build(shapes(recipe), members=MEMBERS, **options)
    networks.initialise(model, generators())
    if model.prior is not None:  # as they would stand after a start from an autoencoder: apart
        with torch.no_grad():
            model.prior.mean.copy_(draw(*model.prior.mean.shape, seed=1))
    return model


def given(recipe, batch=BATCH):
    """Inputs, label and marks of missing rows, as `VAE.forward` takes them."""
    inputs = {name: draw(MEMBERS, batch, *shape) for name, shape in shapes(recipe).items()}
    options = {}
    if RECIPES[recipe].conditional:
        options["context"] = torch.eye(CATEGORIES)[torch.arange(batch) % CATEGORIES].expand(MEMBERS, -1, -1)
    if RECIPES[recipe].modalities > 1:
        there = torch.ones(MEMBERS, batch)
        missing = there.clone()
        missing[:, 1] = 0.0
        options["present"] = {"audio": there, "lyrics": missing}
        inputs["lyrics"][:, 1] = 0.0
    return inputs, options


def loss(model, inputs, output, options):
    return elbo.objective(
        output.reconstructions, inputs, output.divergence, beta=1.0, errors=model.errors, present=options.get("present")
    ).loss


@pytest.fixture(params=list(RECIPES))
def recipe(request):
    return request.param


# Every recipe


def test_shapes(recipe):
    inputs, options = given(recipe)
    model = build(recipe)
    output = model(inputs, generators(), **options)
    assert output.latent.shape == output.posterior.mean.shape == (MEMBERS, BATCH, LATENT)
    assert output.divergence.shape == (MEMBERS, BATCH, LATENT + (model.prior is not None))
    assert {name: out.shape for name, out in output.reconstructions.items()} == {n: x.shape for n, x in inputs.items()}
    assert model.shapes == shapes(recipe)
    assert model.latent_dim == LATENT


def test_every_parameter_gets_a_gradient(recipe):
    # One without would stay as it was drawn, and the latents would be partly noise.
    inputs, options = given(recipe, batch=20)
    model = build(recipe, dropout=0.0)
    loss(model, inputs, model(inputs, generators(), **options), options).sum().backward()
    without = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []


def test_members_never_mix(recipe):
    inputs, options = given(recipe)
    model = build(recipe)
    changed = {name: x.clone() for name, x in inputs.items()}
    for x in changed.values():
        x[1] += 1.0
    before, after = (model(values, generators(), **options) for values in (inputs, changed))
    for one, other in ((before.latent, after.latent), (before.divergence, after.divergence)):
        assert torch.equal(one[[0, 2]], other[[0, 2]])
    assert not torch.equal(before.latent[1], after.latent[1])
    for name in inputs:
        one, other = before.reconstructions[name], after.reconstructions[name]
        assert torch.equal(one[[0, 2]], other[[0, 2]])
        assert not torch.equal(one[1], other[1])


def test_tracks_never_mix(recipe):
    # A track's latents must not depend on which others are in its batch.
    inputs, options = given(recipe)
    model = build(recipe)
    whole = model(inputs, **options)
    one = slice(3, 4)
    alone = model(
        {name: x[:, one] for name, x in inputs.items()},
        context=options["context"][:, one] if "context" in options else None,
        present={name: mask[:, one] for name, mask in options["present"].items()} if "present" in options else None,
    )
    torch.testing.assert_close(alone.latent, whole.latent[:, one])
    torch.testing.assert_close(alone.divergence, whole.divergence[:, one])
    for name, out in alone.reconstructions.items():
        torch.testing.assert_close(out, whole.reconstructions[name][:, one])


def test_without_generators_a_pass_is_deterministic_and_uses_the_posterior_mean(recipe):
    inputs, options = given(recipe)
    model = build(recipe, dropout=0.5)
    first, second = model(inputs, **options), model(inputs, **options)
    assert torch.equal(first.latent, first.posterior.mean)
    for name, out in first.reconstructions.items():
        assert torch.equal(out, second.reconstructions[name])


def test_with_generators_a_pass_repeats_from_the_same_seeds_and_no_others(recipe):
    inputs, options = given(recipe)
    model = build(recipe, dropout=0.5)
    runs = [model(inputs, generators(seed), **options).reconstructions for seed in (0, 0, 7)]
    for name in inputs:
        assert torch.equal(runs[0][name], runs[1][name])
        assert not torch.equal(runs[0][name], runs[2][name])


def test_weights_load_back_to_equal_outputs(recipe):
    inputs, options = given(recipe)
    model, other = build(recipe), build(recipe)
    networks.initialise(other, generators(5))
    assert not torch.equal(model(inputs, **options).latent, other(inputs, **options).latent)
    other.load_state_dict(model.state_dict())
    first, second = model(inputs, **options), other(inputs, **options)
    assert torch.equal(first.latent, second.latent)
    assert torch.equal(first.divergence, second.divergence)


def test_the_representation_shows_what_it_is_made_of(recipe):
    text = repr(build(recipe))
    for name in shapes(recipe):
        assert f"({name}): Encoder" in text
        assert f"({name}): Decoder" in text
    assert f"members={MEMBERS}" in text


def test_a_recipe_says_what_it_is_and_where_it_comes_from(recipe):
    assert RECIPES[recipe].summary
    assert RECIPES[recipe].source


def test_what_is_given_is_not_changed(recipe):
    # Layers overwrite what they have made; never what they were given, or the next epoch would see other music.
    inputs, options = given(recipe)
    before = {name: x.clone() for name, x in inputs.items()}
    build(recipe, dropout=0.5)(inputs, generators(), **options)
    assert all(torch.equal(inputs[name], before[name]) for name in inputs)


# What sets recipes apart


def test_the_autoencoder_has_no_variance_to_learn():
    assert build("ae").encode(given("ae")[0]).log_var is None
    assert build("vae").encode(given("vae")[0]).log_var is not None


def test_only_vade_has_a_prior_to_learn():
    assert [name for name in RECIPES if build(name).prior is not None] == ["vade"]


@pytest.mark.parametrize("recipe", CONDITIONAL)
def test_the_label_reaches_encoder_and_decoder(recipe):
    inputs, options = given(recipe)
    model = build(recipe)
    other = options | {"context": options["context"].flip(2)}
    assert not torch.allclose(model.encode(inputs, **options).mean, model.encode(inputs, **other).mean)
    latent = draw(MEMBERS, BATCH, LATENT)
    told = model.decode(latent, context=options["context"])
    told_otherwise = model.decode(latent, context=other["context"])
    for name in inputs:
        assert not torch.allclose(told[name], told_otherwise[name])


@pytest.mark.parametrize("recipe", MULTIMODAL)
def test_modalities_are_fused_as_a_product_and_missing_ones_weigh_nothing(recipe):
    inputs, options = given(recipe)
    model = build(recipe)
    experts = [model.encoders[name](x, None, options.get("context")) for name, x in inputs.items()]
    fused = model.encode(inputs, **options)
    both = elbo.product_of_experts(experts)
    torch.testing.assert_close(fused.mean[:, 2:], both.mean[:, 2:])
    nothing = elbo.Gaussian(experts[1].mean, torch.full_like(experts[1].mean, torch.inf))
    audio = elbo.product_of_experts([experts[0], nothing])
    torch.testing.assert_close(fused.mean[:, 1], audio.mean[:, 1])
    torch.testing.assert_close(fused.log_var[:, 1], audio.log_var[:, 1])


@pytest.mark.parametrize("recipe", MULTIMODAL)
def test_what_stands_in_the_place_of_a_missing_modality_changes_nothing(recipe):
    inputs, options = given(recipe)
    model = build(recipe)
    results = []
    for filler in (0.0, 1e4):
        inputs["lyrics"][:, 1] = filler
        model.zero_grad()
        output = model(inputs, generators(), **options)
        loss(model, inputs, output, options).sum().backward()
        results.append((output.latent, [weight.grad.clone() for weight in model.parameters()]))
    torch.testing.assert_close(results[0][0], results[1][0])
    for one, other in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(one, other)


def test_a_missing_modality_is_reconstructed_from_the_others():
    inputs, options = given("multimodal_vae")
    model = build("multimodal_vae")
    changed = {"audio": inputs["audio"] + 1.0, "lyrics": inputs["lyrics"]}
    before, after = (model(values, **options).reconstructions["lyrics"][:, 1] for values in (inputs, changed))
    assert not torch.allclose(before, after)


def test_input_noise_comes_while_training_only_and_never_on_the_target():
    inputs, _ = given("denoising_vae")
    model, plain = (build("denoising_vae", dropout=0.0, **options) for options in ({}, {"input_noise": 0.0}))
    assert model.input_noise == 0.5
    assert torch.equal(model.encode(inputs).mean, plain.encode(inputs).mean)
    noisy = model.encode(inputs, generators()).mean
    noise = networks.normal(generators(), BATCH, 7)
    torch.testing.assert_close(noisy, plain.encode({"audio": inputs["audio"] + 0.5 * noise}).mean)
    assert not torch.allclose(noisy, plain.encode(inputs).mean)
    output = model(inputs, generators())
    terms = elbo.objective(output.reconstructions, inputs, output.divergence, beta=1.0, errors=model.errors)
    clean = 0.5 * (output.reconstructions["audio"] - inputs["audio"]).square().sum(2).mean(1)
    torch.testing.assert_close(terms.reconstruction, clean)


@pytest.mark.parametrize("recipe", IMAGE)
def test_an_image_goes_through_convolutions_and_a_table_beside_it_through_layers(recipe):
    model = RECIPES[recipe].build({"features": (7,), "log_mel": (6, 5)}, members=MEMBERS, **SMALL)
    assert isinstance(model.encoders["log_mel"].body, networks.Convolutions)
    assert isinstance(model.encoders["features"].body, networks.MLP)
    assert model.shapes == {"features": (7,), "log_mel": (6, 5)}


def test_the_members_prior_of_vade_is_the_mixture_of_its_parameters():
    inputs, _ = given("vade")
    model = build("vade", components=4)
    output = model(inputs, generators())
    expected = elbo.mixture_divergence(output.posterior, output.latent, model.prior())
    assert model.prior.mean.shape == (MEMBERS, 4, LATENT)
    torch.testing.assert_close(output.divergence, expected)


@pytest.mark.parametrize("latent_dim", [1, 3])
def test_without_hidden_layers_a_model_is_a_linear_one(latent_dim):
    model = compose({"audio": (7,)}, members=MEMBERS, latent_dim=latent_dim, hidden=(), dropout=0.0)
    networks.initialise(model, generators())
    x = draw(MEMBERS, 2, 7)
    mean = [model.encode({"audio": part}).mean for part in (x[:, :1], x[:, 1:], (x[:, :1] + x[:, 1:]) / 2)]
    torch.testing.assert_close(mean[2], (mean[0] + mean[1]) / 2)


# What was published


def widths(model):
    encoder, decoder = model.encoders["audio"], model.decoders["audio"]
    layers = [*encoder.body.layers, encoder.head, *decoder.body.layers, decoder.output]
    return [tuple(layer.weight.shape[1:]) for layer in layers]


@pytest.mark.parametrize(
    ("recipe", "hidden", "latent", "beta"),
    [("published_vae", [256, 128, 64], 32, 1.0), ("published_beta_vae", [512, 256, 128], 64, 4.0)],
)
def test_published_models_have_the_published_sizes_and_loss(recipe, hidden, latent, beta):
    d = 50
    model = RECIPES[recipe].build({"audio": (d,)}, members=MEMBERS)
    networks.initialise(model, generators())
    steps = [d, *hidden]
    back = [latent, *hidden[::-1], d]
    assert widths(model) == [
        *itertools.pairwise(steps),
        (hidden[-1], 2 * latent),
        *itertools.pairwise(back),
    ]
    assert model.encoders["audio"].body.dropout == model.decoders["audio"].body.dropout == 0.2

    # The original's loss, summed over a batch: squared error plus β times the KL of Kingma & Welling, appendix B.
    x = draw(MEMBERS, BATCH, d)
    output = model({"audio": x}, generators())
    mean, log_var = output.posterior
    published = torch.nn.functional.mse_loss(output.reconstructions["audio"][0], x[0], reduction="sum")
    published = published - beta * 0.5 * torch.sum(1 + log_var[0] - mean[0].pow(2) - log_var[0].exp())
    ours = elbo.objective(
        output.reconstructions, {"audio": x}, output.divergence, beta=RECIPES[recipe].beta, errors=model.errors
    )
    torch.testing.assert_close(2 * BATCH * ours.loss[0], published)


# Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_dim": 0}, "latent_dim must be a whole number of at least 1, got 0"),
        ({"hidden": (8, 2.5)}, "hidden must be a whole number of at least 1, got 2.5"),
        ({"hidden": 8}, "hidden must be a list of whole numbers of at least 1, got 8"),
        ({"channels": (0,)}, "channels must be a whole number of at least 1, got 0"),
        ({"channels": "8"}, "channels must be a list of whole numbers of at least 1, got '8'"),
        ({"dropout": 1.0}, r"dropout must be a number in [0, 0.95], got 1.0"),
        ({"dropout": -0.1}, r"dropout must be a number in [0, 0.95], got -0.1"),
        ({"input_noise": -1}, r"input_noise must be a number in [0, inf), got -1"),
        ({"components": -1}, "components must be a whole number of at least 0, got -1"),
        ({"components": 3, "point": True}, "components must be 0 for an autoencoder: a point has no prior, got 3"),
        ({"errors": {"lyrics": "cosine"}}, "errors must be one of audio, log_mel, got 'lyrics'"),
        ({"errors": {"audio": "l1"}}, "errors['audio'] must be one of gaussian, cosine, got 'l1'"),
        ({"errors": {"log_mel": "cosine"}}, "errors['log_mel'] must be 'gaussian' for images, got 'cosine'"),
        ({"channels": ()}, "channels must hold at least one number for images, got none"),
    ],
)
def test_a_bad_option_names_itself(options, message):
    with pytest.raises(ParameterError) as caught:
        compose({"audio": (7,), "log_mel": (6, 5)}, members=MEMBERS, **options)
    assert str(caught.value) == message
