"""Training repeats, seeds do not disturb each other, and embeddings stay in the order of the tracks."""

import numpy as np
import pytest
import torch

from vae_lib import train
from vae_lib.checks import ParameterError

SMALL = {"hidden": (16, 8), "latent_dim": 4, "batch_size": 16, "progress": False}


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(50, 2))
    return {"audio": 2.0 * factors @ rng.normal(size=(2, 10)) + 0.1 * rng.normal(size=(50, 10))}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("recipe", ["ae", "vae"])
def test_training_lowers_the_loss_of_every_seed(recipe, arrays):
    history = train.fit(recipe, arrays, seeds=[0, 1, 2], epochs=200, learning_rate=3e-3, **SMALL).history
    loss = history.pivot_table(index="epoch", columns="seed", values="loss")
    assert (loss.iloc[-5:].mean() < 0.75 * loss.iloc[0]).all()


def test_the_same_seeds_give_bitwise_the_same_embedding(arrays):
    first, second = (train.embed(train.fit("vae", arrays, seeds=[0, 3], epochs=5, **SMALL), arrays) for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.allclose(first[0], first[1])


def test_a_seed_alone_equals_the_same_seed_in_company(arrays):
    company = train.embed(train.fit("vae", arrays, seeds=range(10), epochs=5, **SMALL), arrays)
    alone = train.embed(train.fit("vae", arrays, seeds=[7], epochs=5, **SMALL), arrays)
    np.testing.assert_allclose(alone[0], company[7], atol=1e-4)


def test_training_leaves_torchs_global_generator_and_the_arrays_alone(arrays):
    state, before = torch.get_rng_state(), arrays["audio"].copy()
    train.fit("vae", arrays, seeds=[0], epochs=2, **SMALL)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(arrays["audio"], before)


def test_embeddings_come_in_the_order_of_the_rows(arrays):
    trained = train.fit("vae", arrays, seeds=[0, 1], epochs=3, **SMALL)
    whole, order = train.embed(trained, arrays), np.random.default_rng(1).permutation(50)
    np.testing.assert_allclose(train.embed(trained, {"audio": arrays["audio"][order]}), whole[:, order], atol=1e-6)
    np.testing.assert_allclose(train.embed(trained, {"audio": arrays["audio"][7:8]})[:, 0], whole[:, 7], atol=1e-6)


def test_embeddings_are_posterior_means_and_repeat(arrays):
    trained = train.fit("vae", arrays, seeds=[0], epochs=3, **SMALL)
    x = torch.from_numpy(arrays["audio"].astype(np.float32))[None]
    with torch.no_grad():
        mean = trained.model.encoders["audio"](x).mean
    assert np.array_equal(train.embed(trained, arrays), mean.numpy())
    assert np.array_equal(train.embed(trained, arrays), train.embed(trained, arrays))


def test_a_greater_beta_pays_less_kl_and_keeps_fewer_units(arrays):
    ends = {}
    for beta in (0.1, 1.0, 30.0):
        history = train.fit("vae", arrays, seeds=range(3), epochs=80, beta=beta, dropout=0.0, **SMALL).history
        ends[beta] = history.query("epoch == 80")[["kl", "active_units"]].mean()
    assert ends[0.1]["kl"] > ends[1.0]["kl"] > ends[30.0]["kl"]
    assert ends[0.1]["active_units"] >= ends[1.0]["active_units"] > ends[30.0]["active_units"]


def test_the_history_has_a_row_per_epoch_and_seed_and_adds_up(arrays):
    history = train.fit("vae", arrays, seeds=[4, 2], epochs=3, beta=0.5, **SMALL).history
    assert history[["epoch", "seed"]].to_numpy().tolist() == [[e, s] for e in (1, 2, 3) for s in (4, 2)]
    np.testing.assert_allclose(history["loss"], history["reconstruction"] + 0.5 * history["kl"], rtol=1e-5)


def test_a_divergence_names_the_seed_and_the_epoch(arrays):
    with pytest.raises(train.DivergenceError, match=r"seed 5 is (nan|inf) in epoch \d+: lower learning_rate"):
        train.fit("vae", arrays, seeds=[5], epochs=50, learning_rate=1e4, **SMALL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": "gan"}, "recipe must be one of ae, vae, got 'gan'"),
        ({"beta": -1.0}, "beta must be a number in .*got -1.0"),
        ({"epochs": -1}, "epochs must be a whole number of at least 0, got -1"),
        ({"epochs": 2.5}, "epochs must be a whole number"),
        ({"learning_rate": 0.0}, "learning_rate must be a number in .0, inf., got 0.0"),
        ({"seeds": []}, "seeds must be distinct and at least one, got"),
        ({"seeds": [1, 1]}, "seeds must be distinct"),
        ({"seeds": [-1]}, "seeds must be a whole number of at least 0, got -1"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"arrays": {}}, "arrays must hold at least one modality"),
        ({"arrays": {"audio": np.array([[1.0, np.nan]])}}, r"arrays\['audio'\] must be finite: 1 value"),
        ({"arrays": {"audio": np.zeros((3, 2)), "lyrics": np.zeros((4, 2))}}, r"arrays\['lyrics'\] must have 3 rows"),
    ],
)
def test_bad_input_is_one_clear_error(arrays, change, message):
    options = {"recipe": "vae", "arrays": arrays, "seeds": [0], "epochs": 1} | SMALL | change
    with pytest.raises(ParameterError, match=message):
        train.fit(options.pop("recipe"), options.pop("arrays"), **options)


@pytest.mark.parametrize("patience", [None, 5])
def test_no_epochs_give_the_network_as_it_starts(patience, arrays):
    options = {"seeds": [0, 1], "patience": patience} | SMALL
    untrained = train.fit("vae", arrays, epochs=0, **options)
    latents = train.embed(untrained, arrays)
    assert len(untrained.history) == 0
    assert np.isfinite(latents).all()
    assert not np.allclose(latents[0], latents[1])  # each seed its own weights
    assert np.array_equal(latents, train.embed(train.fit("vae", arrays, epochs=0, **options), arrays))
    # Training sets out from there: steps too small to matter leave the same network.
    same = train.fit("vae", arrays, epochs=1, learning_rate=1e-12, **{**options, "patience": None})
    np.testing.assert_allclose(train.embed(same, arrays), latents, atol=1e-5)
