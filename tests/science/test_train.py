"""Training repeats, seeds do not disturb each other, and embeddings stay in the order of the tracks."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import cross_val_score

from vae_lib import train
from vae_lib.checks import ParameterError
from vae_lib.models import RECIPES, elbo
from vae_lib.models.inputs import Inputs

N = 50
SMALL = {"hidden": (16, 8), "latent_dim": 4, "channels": (4, 8), "batch_size": 16}
PLAIN = {"normalisation": "none", "decoder_variance": "unit", "input_noise": 0.0, "warmup": 0, "weight_decay": 0.0}
QUICK = SMALL | PLAIN | {"hidden": (16,), "learning_rate": 1e-2, "seed": 0}
OVERFIT = SMALL | PLAIN | {"learning_rate": 2e-2, "beta": 0.01, "validation": 0.2}
FACTORS = np.random.default_rng(0).normal(size=(N, 2))


@pytest.fixture(scope="module")
def x():
    """Ten columns in which two factors are planted."""
    rng = np.random.default_rng(1)
    return 2.0 * FACTORS @ rng.normal(size=(2, 10)) + 0.1 * rng.normal(size=(N, 10)) + 7.0


@pytest.fixture(scope="module")
def both(x):
    """Beside them five columns that follow the same factors; every seventh track has none of these."""
    lyrics = FACTORS @ np.random.default_rng(2).normal(size=(2, 5))
    lyrics[::7] = np.nan
    return {"audio": x, "lyrics": lyrics}


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(7).normal(size=(30, 10))


@pytest.fixture(scope="module")
def bilingual():
    """Two factors of style, and a language that shifts six of the ten columns: 120 tracks."""
    rng = np.random.default_rng(5)
    style, language = rng.normal(size=(120, 2)), np.arange(120) % 2
    shift = np.where(np.arange(10) < 6, 3.0, 0.0)
    table = style @ rng.normal(size=(2, 10)) + language[:, None] * shift + 0.3 * rng.normal(size=(120, 10))
    return table, np.where(language, "bn", "en"), style


def same(one, other):
    pd.testing.assert_frame_equal(one.history, other.history, check_exact=True)
    return np.array_equal(one.latents, other.latents)


# What is learnt


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_training_lowers_the_loss_and_what_is_saved_is_loaded_bitwise(recipe, x, both, tmp_path):
    plan, options = RECIPES[recipe], QUICK | {"epochs": 25, "beta": 0.1, "decoder_variance": "learnt"}
    arrays = both if plan.modalities > 1 else x
    if plan.image:
        arrays = {"log_mel": np.stack([x[:, :5], x[:, 5:], x[:, 4::-1]], axis=1)}
    if recipe == "vade":
        options |= {"components": 3, "pretrain_epochs": 5}
    condition = [*"ab"] * (N // 2) if plan.conditional else None
    fit = train.fit(recipe, arrays, condition=condition, **options)
    for column in ("loss", "validation_loss"):
        # VaDE sets out from a trained autoencoder: less is left to fall.
        assert fit.history[column].iloc[-5:].mean() < (0.95 if recipe == "vade" else 0.8) * fit.history[column].iloc[0]

    train.save(fit, tmp_path / "kept")
    before = torch.get_rng_state()
    loaded = train.load(tmp_path / "kept")
    assert torch.equal(torch.get_rng_state(), before)
    assert same(loaded, fit)
    assert (loaded.recipe, loaded.seed, loaded.settings, loaded.categories) == (
        (recipe, 0, fit.settings, fit.categories)
    )
    for of in (fit, loaded):
        assert np.array_equal(train.embed(of, arrays, condition=condition), fit.latents)
    one, other = (train.decode(of, fit.latents, condition=condition) for of in (fit, loaded))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    tables = [train.diagnose(of, arrays, condition=condition)[0] for of in (fit, loaded)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_what_a_model_is_told_leaves_its_latents_and_the_style_stays(bilingual):
    # The claim of the paper: condition on language, and Bangla and English songs of one style lie together.
    x, language, style = bilingual
    for recipe, condition in (("vae", None), ("cvae", language)):
        fit = train.fit(recipe, x, condition=condition, epochs=120, **QUICK)
        tells_language = cross_val_score(LogisticRegression(), fit.latents, language, cv=4).mean()
        assert tells_language > 0.95 if recipe == "vae" else tells_language < 0.65
        assert LinearRegression().fit(fit.latents, style).score(fit.latents, style) > 0.8
    # And the label moves what is decoded by what the language does.
    english, bangla = (train.decode(fit, fit.latents, condition=[name] * 120)["audio"] for name in ("en", "bn"))
    np.testing.assert_allclose((bangla - english).mean(axis=0), [3.0] * 6 + [0.0] * 4, atol=0.5)


def test_vade_starts_from_the_codes_of_an_autoencoder_and_finds_clusters_that_lie_apart():
    rng, truth = np.random.default_rng(6), np.arange(60) % 3
    x = 6.0 * rng.normal(size=(3, 8))[truth] + 0.5 * rng.normal(size=(60, 8))
    options = SMALL | PLAIN | {"seed": 0}
    plain = train.fit("ae", x, epochs=30, **options)
    options |= {"components": 3, "pretrain_epochs": 30}
    begun, fit = (train.fit("vade", x, epochs=epochs, **options) for epochs in (0, 20))
    np.testing.assert_allclose(begun.latents, plain.latents, atol=1e-5)
    found = train.components(fit, x)
    assert adjusted_rand_score(truth, found) == 1.0
    order = rng.permutation(60)
    assert np.array_equal(train.components(fit, x[order]), found[order])


def test_a_decoder_of_learnt_variance_explains_columns_of_unlike_noise_better():
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 8)) + np.geomspace(0.05, 2.0, 8) * rng.normal(size=(300, 8))
    unit, learnt = (
        train.fit("vae", x, epochs=150, **QUICK | {"batch_size": 64, "decoder_variance": of})
        for of in ("unit", "learnt")
    )
    spread = learnt.model.decoders["audio"].log_var
    assert spread[:2].max() < spread[-2:].min() - 1.0
    assert train.bound(learnt, x) > train.bound(unit, x, variance="fitted") > train.bound(unit, x) + 1.0


# Repeatable, seed by seed


@pytest.mark.parametrize("recipe", ["vae", "cond_multimodal_vae", "vade"])
def test_a_seed_repeats_bitwise_whatever_else_was_drawn_and_leaves_everything_as_it_was(recipe, x, both):
    arrays = both if RECIPES[recipe].modalities > 1 else x
    options = SMALL | {"epochs": 3, "condition": [*"ab"] * 25 if RECIPES[recipe].conditional else None}
    options |= {"components": 3, "pretrain_epochs": 2} if recipe == "vade" else {}
    threads, before = torch.get_num_threads(), x.copy()
    first = train.fit(recipe, arrays, seed=3, **options)
    torch.set_num_threads(2)
    torch.rand(5)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    with ThreadPoolExecutor(2) as threaded:
        again, other = threaded.map(lambda seed: train.fit(recipe, arrays, seed=seed, **options), (3, 4))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert torch.get_num_threads() == 2
    torch.set_num_threads(threads)
    assert same(again, first)
    assert not np.allclose(other.latents, first.latents)
    assert np.array_equal(x, before)


def test_arrays_and_labels_in_another_form_give_the_same(both):
    labels = [*"ab"] * 25
    lyrics = pd.DataFrame(both["lyrics"], index=range(N, 0, -1))
    forms = [
        (both, labels),
        ({"lyrics": lyrics, "audio": both["audio"].tolist()}, pd.Categorical(labels, ["b", "a"])),
    ]
    fits = [train.fit("cond_multimodal_vae", of, condition=as_, seed=0, epochs=2, **SMALL) for of, as_ in forms]
    assert fits[0].categories == ("a", "b")
    assert same(*fits)
    assert np.array_equal(train.embed(fits[0], forms[1][0], condition=forms[1][1]), fits[0].latents)


# Using what is trained


def test_embeddings_are_posterior_means_of_scaled_arrays_in_the_order_of_the_rows(x):
    # The original project read its latents from a shuffled loader and scored them against labels in order.
    fit = train.fit("vae", x, seed=0, epochs=3, **SMALL)
    scaled = torch.from_numpy(((x - x.mean(0)) / x.std(0)).astype(np.float32))
    np.testing.assert_allclose(fit.latents, fit.model.encode(Inputs({"audio": scaled})).mean, atol=1e-6)
    many = np.random.default_rng(3).normal(size=(1100, 10)) * 2.0 + 7.0  # more than are embedded at a time
    whole = train.embed(fit, many)
    order = np.random.default_rng(1).permutation(1100)
    np.testing.assert_allclose(train.embed(fit, many[order]), whole[order], atol=1e-5)
    # A track keeps its place whatever it comes with: others are scaled as in training.
    np.testing.assert_allclose(train.embed(fit, np.concatenate([many[:3], many[:3] + 1e3]))[:3], whole[:3], atol=1e-5)


def test_a_song_without_lyrics_is_embedded_by_its_sound(both):
    fit = train.fit("multimodal_vae", both, seed=0, epochs=5, **SMALL)
    silent = np.isnan(both["lyrics"]).any(axis=1)
    assert np.isfinite(fit.latents).all()
    without = train.embed(fit, {"audio": both["audio"]})
    np.testing.assert_allclose(without[silent], fit.latents[silent], atol=1e-6)
    assert (np.abs(without - fit.latents)[~silent].max(axis=1) > 1e-4).all()
    assert {name: out.shape for name, out in train.decode(fit, without).items()} == {"audio": (N, 10), "lyrics": (N, 5)}


def test_what_is_decoded_comes_in_the_units_of_the_training(both):
    arrays = {"audio": both["audio"] * 10.0 ** np.arange(-4, 6), "lyrics": np.nan_to_num(both["lyrics"], nan=1.0)}
    fit = train.fit("multimodal_vae", arrays, epochs=150, beta=0.05, errors={"lyrics": "cosine"}, **QUICK)
    decoded = train.decode(fit, fit.latents)
    assert ((decoded["audio"] - arrays["audio"]).std(axis=0) < 0.4 * arrays["audio"].std(axis=0)).all()
    np.testing.assert_allclose(np.linalg.norm(decoded["lyrics"], axis=1), 1.0, rtol=1e-5)


def test_the_diagnosis_says_what_each_latent_carries(x):
    fit = train.fit("vae", x, epochs=150, **QUICK)
    table, divergence = train.diagnose(fit, x)
    scaled = torch.from_numpy(((x - x.mean(0)) / x.std(0)).astype(np.float32))
    expected = elbo.kl_divergence(fit.model.encode(Inputs({"audio": scaled}))).mean(0)
    np.testing.assert_allclose(divergence, expected, rtol=1e-4)
    assert table["kl"].item() == pytest.approx(divergence.sum(), rel=1e-5)
    # Two planted factors take two latents, which tell them.
    assert table["active_units"].item() == 2
    assert LinearRegression().fit(fit.latents, FACTORS).score(fit.latents, FACTORS) > 0.9


def test_the_bound_is_of_tracks_that_were_not_trained_on_and_rises_above_the_elbo(x):
    fit = train.fit("vae", x, epochs=60, beta=0.1, validation=0.2, **QUICK)
    others = x[fit.held_out].copy()
    others[0] += 1e-9  # other tracks than those of the training, all but in name
    assert len(others) == 10
    assert train.bound(fit, x) == pytest.approx(train.bound(fit, others), rel=1e-3)
    songs = np.repeat(x, 40, axis=0)
    reconstruction, kl = train.diagnose(fit, songs)[0].loc[0, ["reconstruction", "kl"]]
    assert kl > 2.0
    assert train.bound(fit, songs, samples=1) == pytest.approx(-reconstruction - kl, abs=0.3)
    assert train.bound(fit, songs, samples=1) < train.bound(fit, songs, samples=20) < train.bound(fit, songs)
    for of, message in (
        (train.fit("vae", x, epochs=1, validation=0.0, **QUICK), "other tracks than .*: none of them was held out"),
        (train.fit("ae", x, epochs=1, **QUICK), "an autoencoder has no likelihood"),
    ):
        with pytest.raises(ParameterError, match=message):
            train.bound(of, x)


# History, warm-up, held-out tracks, early stopping


def test_the_history_adds_up_and_the_weight_of_the_divergence_rises_in_equal_steps(x):
    fit = train.fit("vae", x, seed=0, epochs=6, beta=2.0, warmup=4, **SMALL)
    history = fit.history
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    weight = (history["loss"] - history["reconstruction"]) / history["kl"]
    np.testing.assert_allclose(weight, [0.5, 1.0, 1.5, 2.0, 2.0, 2.0], rtol=1e-3)
    # The validation loss has the full weight from the start: else epochs of the warm-up would look better.
    still = SMALL | {"seed": 0, "epochs": 1, "beta": 50.0, "learning_rate": 1e-12}
    slow, full = (train.fit("vae", x, warmup=warmup, **still).history.iloc[0] for warmup in (10, 0))
    assert slow["validation_loss"] == pytest.approx(full["validation_loss"], rel=1e-5)
    assert slow["loss"] < full["loss"]
    assert train.fit("vae", x, seed=0, epochs=1, validation=0.0, **SMALL).history["validation_loss"].isna().all()


def test_held_out_tracks_never_move_a_weight_and_alone_make_the_validation_loss():
    # Directions are scaled one by one, so that a track can be changed without touching the others.
    lyrics = np.random.default_rng(4).normal(size=(12, 5))
    options = SMALL | {"seed": 0, "epochs": 2, "validation": 0.25, "errors": {"lyrics": "cosine"}}
    base = train.fit("vae", {"lyrics": lyrics}, **options)
    for row in range(12):
        changed = train.fit("vae", {"lyrics": np.where(np.arange(12)[:, None] == row, -lyrics, lyrics)}, **options)
        loss, validation_loss = (changed.history[name].ne(base.history[name]) for name in ("loss", "validation_loss"))
        assert loss.any() != (row in base.held_out)
        assert validation_loss.all() or row not in base.held_out
    assert len(base.held_out) == 3


@pytest.mark.parametrize(("n", "batch_size", "validation"), [(2, 32, 0.1), (3, 1, 0.5), (17, 16, 0.0)])
@pytest.mark.parametrize("recipe", ["vae", "ae"])
def test_few_tracks_and_odd_batches_will_do(recipe, n, batch_size, validation, x):
    options = SMALL | {"batch_size": batch_size, "validation": validation}
    assert np.isfinite(train.fit(recipe, x[:n], seed=0, epochs=3, **options).latents).all()


def test_a_seed_stops_when_held_out_tracks_are_explained_no_better_and_keeps_its_best_epoch(noise):
    fit = train.fit("vae", noise, seed=0, epochs=200, patience=6, **OVERFIT)
    loss = fit.history.set_index("epoch")["validation_loss"]
    assert loss.index[-1] == loss.idxmin() + 6 < 200
    until = train.fit("vae", noise, seed=0, epochs=int(loss.idxmin()), **OVERFIT)
    assert np.array_equal(until.latents, fit.latents)


def test_no_seed_stops_while_the_weight_of_the_divergence_still_rises(noise):
    rising = train.fit("vae", noise, seed=0, epochs=60, patience=2, **OVERFIT | {"warmup": 25})
    assert rising.history["epoch"].max() >= 27
    cut, plain = (
        train.fit("vae", noise, seed=0, epochs=4, patience=of, **OVERFIT | {"warmup": 10}) for of in (2, None)
    )
    assert np.array_equal(cut.latents, plain.latents)


def test_no_epochs_give_the_network_as_it_starts(x):
    untrained = train.fit("vae", x, seed=0, epochs=0, patience=5, **SMALL)
    assert len(untrained.history) == 0
    # Training sets out from there: steps too small to matter leave the same network.
    begun = train.fit("vae", x, seed=0, epochs=1, learning_rate=1e-12, **SMALL)
    np.testing.assert_allclose(begun.latents, untrained.latents, atol=1e-5)


def test_a_divergence_names_the_seed_and_the_epoch(x):
    with pytest.raises(train.DivergenceError, match=r"loss of seed 5 is (nan|inf) in epoch \d+: lower learning_rate"):
        train.fit("vae", x, seed=5, epochs=50, learning_rate=1e4, **SMALL)
    # Weights lost in the very last step: the loss is measured before it, and is still finite.
    options = SMALL | {"batch_size": 100, "learning_rate": 1e30}
    with pytest.raises(train.DivergenceError, match=r"latents of seed 5 are not finite after epoch 1: lower learning"):
        train.fit_seeds("vae", x, seeds=[5], epochs=1, cache=False, progress=False, **options)


# Many seeds, and what is kept of them

KILLED = """
import sys
import numpy as np
from vae_lib import train
if __name__ == "__main__":
    train.fit_seeds("vae", np.load(sys.argv[1]), seeds=40, workers=2, cache=sys.argv[2], {options})
"""


@pytest.fixture
def counted(monkeypatch):
    """Seeds that are trained from here on."""
    trained, fit = [], train.fit
    monkeypatch.setattr(
        train, "fit", lambda *args, seed, **options: trained.append(seed) or fit(*args, seed=seed, **options)
    )
    return trained


def test_seeds_side_by_side_are_those_one_by_one_and_a_run_that_is_killed_goes_on(x, tmp_path, counted):
    np.save(tmp_path / "x.npy", x)
    options = {"hidden": (16, 8), "latent_dim": 4, "epochs": 150}
    script, kept = tmp_path / "killed.py", tmp_path / "kept"
    script.write_text(KILLED.format(options=", ".join(f"{name}={value!r}" for name, value in options.items())))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, script, tmp_path / "x.npy", kept], env=environment) as child:
        deadline = time.monotonic() + 120
        while len(list(kept.glob("[!.]*"))) < 3 and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        workers = psutil.Process(child.pid).children(recursive=True)
        child.kill()
    done = sorted(train.load(path).seed for path in kept.glob("[!.]*"))
    assert 3 <= len(done) < 40
    assert psutil.wait_procs(workers, timeout=20)[1] == []  # none works on for nobody
    seeds = [*done[::-1], 40]
    fits = train.fit_seeds("vae", x, seeds=seeds, workers=1, cache=kept, progress=False, **options)
    assert counted == [40]
    assert list(fits.seeds) == seeds
    assert same(fits[0], train.fit("vae", x, seed=seeds[0], **options))


def test_what_was_trained_is_not_trained_again_unless_anything_differs_or_it_is_damaged(x, both, tmp_path, counted):
    def seeds(recipe="vae", arrays=x, seeds=2, **changed):
        options = SMALL | {"epochs": 1, "workers": 1, "cache": tmp_path, "progress": False} | changed
        counted.clear()
        return train.fit_seeds(recipe, arrays, seeds=seeds, **options), list(counted)

    first, trained = seeds()
    assert trained == [0, 1]
    again, trained = seeds(seeds=np.arange(3), batch_size=np.int64(16))
    assert trained == [2]
    assert np.array_equal(again[:2].latents, first.latents)
    told = {"recipe": "cvae", "condition": [*"ab"] * 25}
    changes = ({"epochs": 2}, {"beta": 2.0}, {"arrays": 2.0 * x}, {"arrays": {"sound": x}}, {"recipe": "ae"}, told)
    for change in (*changes, told | {"condition": ["b", "a"] * 25}):
        assert seeds(**change)[1] == [0, 1]
    for path in tmp_path.iterdir():
        content = bytearray(path.read_bytes())
        content[-9] ^= 1
        path.write_bytes(content)
        with pytest.raises(ParameterError, match=rf"{path.name} is damaged: its content does not match"):
            train.load(path)
        path.write_bytes(content[:-8])
        with pytest.raises(ParameterError, match=rf"{path.name} is damaged or no trained model"):
            train.load(path)
    anew, trained = seeds()
    assert trained == [0, 1]
    assert np.array_equal(anew.latents, first.latents)
    assert seeds()[1] == []


def test_several_fits_are_used_like_one(both):
    options = SMALL | {"epochs": 2, "workers": 1, "cache": False, "progress": False}
    fits = train.fit_seeds("multimodal_vae", both, seeds=[4, 2], **options)
    assert (fits.seeds, len(fits), fits.latents.shape) == ((4, 2), 2, (2, N, 4))
    assert fits.history[["seed", "epoch"]].to_numpy().tolist() == [[4, 1], [4, 2], [2, 1], [2, 2]]
    assert fits.seconds == pytest.approx(sum(fit.seconds for fit in fits))
    assert np.array_equal(train.embed(fits, both), fits.latents)
    decoded = train.decode(fits, fits.latents[:, :7])
    assert decoded["lyrics"].shape == (2, 7, 5)
    np.testing.assert_allclose(decoded["audio"][1], train.decode(fits[1], fits[1].latents[:7])["audio"])
    table, divergence = train.diagnose(fits, both)
    assert table["seed"].tolist() == [4, 2]
    assert divergence.shape == (2, 4)
    assert train.bound(fits, both, samples=2).shape == (2,)


# Errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": "gan"}, f"recipe must be one of {', '.join(RECIPES)}, got 'gan'"),
        ({"beta": "1"}, r"beta must be a number in \[0, 1e\+06\], got '1'"),
        ({"epochs": 2.5}, "epochs must be a whole number of at least 0, got 2.5"),
        ({"learning_rate": 0.0}, r"learning_rate must be a number in \(0, inf\), got 0.0"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"validation": 0.6}, r"validation must be a number in \[0, 0.5\], got 0.6"),
        ({"patience": 3, "validation": 0.0}, "validation must be above 0 where patience is given"),
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda, got 'tpu'"),
        ({"arrays": np.zeros((1, 2))}, "arrays must have more than one track where some are held out, got 1"),
        ({"recipe": "conv_vae"}, r"arrays must hold images of shape \(n, height, width\) for 'conv_vae', got none"),
        ({"recipe": "multimodal_vae"}, r"arrays must hold 2 modalities for 'multimodal_vae', got \['audio'\]"),
        ({"recipe": "cvae", "condition": ["a"] * N}, "condition must give at least two labels to recipe 'cvae', got 1"),
        ({"recipe": "cvae", "condition": ["a", "b"]}, f"condition must have {N} entries, one per track, got 2"),
        ({"condition": ["a", "b"] * 25}, "condition must be left out: recipe 'vae' is not conditional"),
    ],
)
def test_bad_input_is_one_clear_error(x, change, message):
    with pytest.raises(ParameterError, match=message):
        train.fit(**{"recipe": "vae", "arrays": x, "seed": 0, "epochs": 1} | SMALL | change)


@pytest.mark.parametrize("seeds", [[], [1, 1], 0, [-1], "2"])
def test_seeds_must_be_distinct_whole_numbers(seeds, x):
    with pytest.raises(ParameterError, match="seeds must be"):
        train.fit_seeds("vae", x, seeds=seeds, epochs=1)


def test_songs_that_do_not_fit_the_model_are_one_clear_error(x, both, tmp_path):
    plain = train.fit("vae", x, seed=0, epochs=1, **SMALL)
    told = train.fit("cvae", x, condition=[*"ab"] * 25, seed=0, epochs=1, **SMALL)
    full = train.fit("ae", {"audio": x, "lyrics": np.nan_to_num(both["lyrics"])}, seed=0, epochs=1, **SMALL)
    for use, message in (
        (
            lambda: train.embed(plain, x[:, :9]),
            r"arrays\['audio'\] must have shape \(n, 10\) as in training, got \(n, 9",
        ),
        (lambda: train.embed(plain, x, condition=["a"] * N), "condition must be left out"),
        (lambda: train.embed(told, x), "condition must give one of a, b per track, got none"),
        (lambda: train.decode(told, told.latents), "condition must give one of a, b per track, got none"),
        (lambda: train.diagnose(told, x, condition=["c"] * N), "condition must be one of a, b, got 'c' in row 0"),
        (lambda: train.components(plain, x), "trained must have a mixture prior, recipe 'vae' has none"),
        (lambda: train.decode(plain, np.zeros((3, 5))), r"latents must have shape \(n, 4\), got \(3, 5\)"),
        (lambda: train.embed(full, both), "arrays must be complete for an autoencoder"),
        (lambda: train.load(tmp_path / "nowhere"), "cannot read .*nowhere"),
    ):
        with pytest.raises(ParameterError, match=message):
            use()


def test_training_is_the_loop_that_one_would_write_by_hand(monkeypatch):
    from benchmarks import training

    monkeypatch.setattr(training, "ROUNDS", 1)
    monkeypatch.setattr(training, "EPOCHS", 5)
    training.one_seed(training.table(), 128)  # raises where the two ways train to different losses
