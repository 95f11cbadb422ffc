"""Training repeats, seeds do not disturb each other, and embeddings stay in the order of the tracks."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import cross_val_score

from vae_lib import checkpoint as checkpoints
from vae_lib import elbo, train
from vae_lib.checks import ParameterError
from vae_lib.models import RECIPES

SMALL = {"hidden": (16, 8), "latent_dim": 4, "channels": (2, 3), "batch_size": 16, "progress": False}
N = 50


@pytest.fixture(scope="module")
def factors():
    return np.random.default_rng(0).normal(size=(N, 2))


@pytest.fixture(scope="module")
def arrays(factors):
    """Ten columns in which two factors are planted."""
    rng = np.random.default_rng(1)
    return {"audio": 2.0 * factors @ rng.normal(size=(2, 10)) + 0.1 * rng.normal(size=(N, 10)) + 7.0}


@pytest.fixture(scope="module")
def lyrics(factors):
    """Five columns that follow the same factors; every seventh track has none."""
    table = factors @ np.random.default_rng(2).normal(size=(2, 5))
    table[::7] = np.nan
    return table


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def given(arrays, lyrics):
    """What each recipe needs: arrays, the label if there is one, and options that keep it small."""

    def of(recipe):
        plan, options = RECIPES[recipe], {}
        condition = [*"ab"] * (N // 2) if plan.conditional else None
        if plan.image:
            image = arrays["audio"].reshape(N, 2, 5)
            return {"log_mel": np.concatenate([image, image[:, ::-1]], axis=1)}, condition, {"channels": (8, 16)}
        if recipe == "vade":
            options = {"components": 3, "pretrain_epochs": 5}
        return arrays | ({"lyrics": lyrics} if plan.modalities > 1 else {}), condition, options

    return of


def weights_of(trained):
    return {name: weight.numpy() for name, weight in trained.model.named_parameters()}


# The loss falls, and what was planted is found


@pytest.mark.parametrize("recipe", list(RECIPES))
def test_training_lowers_the_loss_of_every_seed(recipe, given):
    inputs, condition, options = given(recipe)
    options = SMALL | {"seeds": [0, 1], "epochs": 25, "dropout": 0.0, "learning_rate": 1e-2, "beta": 0.1} | options
    history = train.fit(recipe, inputs, condition=condition, **options).history
    loss = history.pivot_table(index="epoch", columns="seed", values="loss")
    # VaDE sets out from a trained autoencoder: less is left to fall.
    assert (loss.iloc[-5:].mean() < (0.95 if recipe == "vade" else 0.8) * loss.iloc[0]).all()
    assert (
        history.groupby("seed")["validation_loss"].last() < history.groupby("seed")["validation_loss"].first()
    ).all()


def test_two_planted_factors_take_two_latents_that_tell_them(arrays, factors):
    options = SMALL | {"hidden": (16,), "dropout": 0.0, "learning_rate": 1e-2, "seeds": [0, 1, 2], "epochs": 150}
    trained = train.fit("vae", arrays, **options)
    assert trained.history.groupby("seed")["active_units"].last().tolist() == [2, 2, 2]
    for latents in train.embed(trained, arrays):
        assert LinearRegression().fit(latents, factors).score(latents, factors) > 0.9


def test_a_greater_beta_pays_less_kl_and_keeps_fewer_units(arrays):
    ends = {}
    for beta in (0.1, 1.0, 30.0):
        options = SMALL | {"seeds": range(3), "epochs": 80, "dropout": 0.0, "learning_rate": 3e-3}
        history = train.fit("vae", arrays, beta=beta, **options).history
        ends[beta] = history.query("epoch == 80")[["kl", "active_units"]].mean()
    assert ends[0.1]["kl"] > ends[1.0]["kl"] > ends[30.0]["kl"]
    assert ends[0.1]["active_units"] >= ends[1.0]["active_units"] > ends[30.0]["active_units"]


@pytest.fixture(scope="module")
def bilingual():
    """Two factors of style, and a language that shifts six of the ten columns: 120 tracks."""
    rng = np.random.default_rng(5)
    style, language = rng.normal(size=(120, 2)), np.arange(120) % 2
    shift = np.where(np.arange(10) < 6, 3.0, 0.0)
    table = style @ rng.normal(size=(2, 10)) + language[:, None] * shift + 0.3 * rng.normal(size=(120, 10))
    return {"audio": table}, np.where(language, "bn", "en"), style


def test_what_a_model_is_told_leaves_its_latents_and_the_style_stays(bilingual):
    # The claim of the paper: condition on language, and Bangla and English songs of one style lie together.
    inputs, language, style = bilingual
    options = SMALL | {"hidden": (16,), "dropout": 0.0, "learning_rate": 1e-2, "seeds": [0, 1], "epochs": 120}
    probe = LogisticRegression()
    for recipe in ("vae", "cvae"):
        condition = language if recipe == "cvae" else None
        trained = train.fit(recipe, inputs, condition=condition, **options)
        for latents in train.embed(trained, inputs, condition=condition):
            tells_language = cross_val_score(probe, latents, language, cv=4).mean()
            assert tells_language > 0.95 if recipe == "vae" else tells_language < 0.65
            assert LinearRegression().fit(latents, style).score(latents, style) > 0.8


def test_the_label_moves_what_is_decoded(bilingual):
    inputs, language, _ = bilingual
    options = SMALL | {"hidden": (16,), "dropout": 0.0, "learning_rate": 1e-2, "seeds": [0], "epochs": 120}
    trained = train.fit("cvae", inputs, condition=language, **options)
    latents = train.embed(trained, inputs, condition=language)
    english, bangla = (train.decode(trained, latents, condition=[name] * 120)["audio"][0] for name in ("en", "bn"))
    shift = (bangla - english).mean(axis=0)
    np.testing.assert_allclose(shift, [3.0] * 6 + [0.0] * 4, atol=0.5)


@pytest.fixture(scope="module")
def clusters():
    rng = np.random.default_rng(6)
    truth = np.arange(60) % 3
    return {"audio": 6.0 * rng.normal(size=(3, 8))[truth] + 0.5 * rng.normal(size=(60, 8))}, truth


@pytest.fixture(scope="module")
def vade(clusters):
    options = SMALL | {"components": 3, "dropout": 0.0, "learning_rate": 3e-3, "pretrain_epochs": 30}
    return train.fit("vade", clusters[0], seeds=[0, 1], epochs=20, **options)


def test_vade_finds_clusters_that_lie_apart(vade, clusters):
    inputs, truth = clusters
    found = train.components(vade, inputs)
    assert found.shape == (2, 60)
    assert [adjusted_rand_score(truth, labels) for labels in found] == [1.0, 1.0]
    order = np.random.default_rng(0).permutation(60)
    assert np.array_equal(train.components(vade, {"audio": inputs["audio"][order]}), found[:, order])


def test_vade_starts_from_an_autoencoder_and_its_codes(clusters):
    # Steps too small to matter leave it where it started: its means are the autoencoder's codes.
    inputs, truth = clusters
    options = SMALL | {"seeds": [0, 1], "dropout": 0.0}
    plain = train.fit("ae", inputs, epochs=30, **options)
    options |= {"learning_rate": 1e-12, "components": 3}
    begun = {
        epochs: train.fit("vade", inputs, epochs=1, pretrain_epochs=epochs, **{**options, "learning_rate": rate})
        for epochs, rate in ((30, 1e-3), (1, 1e-12))
    }
    started = train.embed(begun[30], inputs)
    # One step of 1e-3 per weight has moved it a little; the network as first drawn is far away.
    assert np.corrcoef(started.ravel(), train.embed(plain, inputs).ravel())[0, 1] > 0.98
    assert np.corrcoef(started.ravel(), train.embed(begun[1], inputs).ravel())[0, 1] < 0.9
    assert adjusted_rand_score(truth, train.components(begun[30], inputs)[0]) > 0.9


# Repeatable, seed by seed


@pytest.mark.parametrize("recipe", ["vae", "cond_multimodal_vae", "conv_vae", "vade"])
def test_the_same_seeds_give_bitwise_the_same_embedding(recipe, given):
    inputs, condition, options = given(recipe)
    options = SMALL | {"seeds": [0, 3], "epochs": 3, "condition": condition} | options
    first, second = (train.embed(train.fit(recipe, inputs, **options), inputs, condition=condition) for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.allclose(first[0], first[1])


@pytest.mark.parametrize("recipe", ["vae", "denoising_vae", "cond_multimodal_vae", "conv_vae", "vade"])
def test_a_seed_alone_equals_the_same_seed_in_company(recipe, given):
    inputs, condition, options = given(recipe)
    options = SMALL | {"epochs": 4, "condition": condition} | options
    company, alone = (train.fit(recipe, inputs, seeds=seeds, **options) for seeds in (range(10), [7]))
    parts = [train.embed(trained, inputs, condition=condition) for trained in (company, alone)]
    np.testing.assert_allclose(parts[1][0], parts[0][7], atol=1e-4)
    same = company.history.query("seed == 7").reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.history, same, rtol=1e-4, atol=1e-4)


def test_modalities_in_another_order_and_arrays_in_another_form_give_the_same(arrays, lyrics):
    forms = [
        {"audio": arrays["audio"], "lyrics": lyrics},
        {"lyrics": lyrics, "audio": arrays["audio"]},
        {"lyrics": pd.DataFrame(lyrics, index=range(N, 0, -1)), "audio": arrays["audio"].tolist()},
    ]
    fits = [train.fit("multimodal_vae", form, seeds=[0], epochs=3, **SMALL) for form in forms]
    latents = [train.embed(trained, form) for trained in fits for form in forms]
    assert all(np.array_equal(other, latents[0]) for other in latents[1:])


def test_labels_in_any_form_give_the_same(arrays):
    labels = [*"ab"] * 25
    forms = [labels, np.array(labels), pd.Series(labels, index=range(N, 0, -1)), pd.Categorical(labels, ["b", "a"])]
    fits = [train.fit("cvae", arrays, condition=form, seeds=[0], epochs=2, **SMALL) for form in forms]
    assert {trained.categories for trained in fits} == {("a", "b")}
    latents = [train.embed(fits[0], arrays, condition=form) for form in forms]
    latents += [train.embed(trained, arrays, condition=labels) for trained in fits]
    assert all(np.array_equal(other, latents[0]) for other in latents[1:])


def test_training_leaves_generators_arrays_and_threads_alone(arrays):
    state, before, numbers = torch.get_rng_state(), arrays["audio"].copy(), np.random.get_state()[1].copy()  # noqa: NPY002
    train.fit("vade", arrays, seeds=[0], epochs=2, components=2, pretrain_epochs=1, **SMALL)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numbers)  # noqa: NPY002
    assert np.array_equal(arrays["audio"], before)
    assert torch.get_num_threads() == 1


# Embedding


def test_embeddings_come_in_the_order_of_the_rows(arrays):
    # The original project read its latents from a shuffled loader and scored them against labels in order.
    trained = train.fit("vae", arrays, seeds=[0, 1], epochs=3, **SMALL)
    whole, order = train.embed(trained, arrays), np.random.default_rng(1).permutation(N)
    np.testing.assert_allclose(train.embed(trained, {"audio": arrays["audio"][order]}), whole[:, order], atol=1e-6)
    for row in (0, 7, N - 1):
        alone = train.embed(trained, {"audio": arrays["audio"][row : row + 1]})
        np.testing.assert_allclose(alone[:, 0], whole[:, row], atol=1e-6)


def test_more_tracks_than_fit_in_a_batch_keep_their_order(arrays):
    trained = train.fit("vae", arrays, seeds=[0, 1], epochs=1, **SMALL)
    many = {"audio": np.random.default_rng(3).normal(size=(1100, 10)) * 2.0 + 7.0}
    whole = train.embed(trained, many)
    parts = [train.embed(trained, {"audio": many["audio"][first : first + 100]}) for first in range(0, 1100, 100)]
    np.testing.assert_allclose(whole, np.concatenate(parts, axis=1), atol=1e-6)
    table, _ = train.diagnose(trained, many)
    assert table["active_units"].tolist() == elbo.active_units(torch.from_numpy(whole)).tolist()


def test_embeddings_are_posterior_means_of_standardised_arrays_and_repeat(arrays):
    trained = train.fit("denoising_vae", arrays, seeds=[0], epochs=3, **SMALL)
    x = (arrays["audio"] - arrays["audio"].mean(0)) / arrays["audio"].std(0)
    with torch.no_grad():
        mean = trained.model.encoders["audio"](torch.from_numpy(x.astype(np.float32))[None]).mean
    np.testing.assert_allclose(train.embed(trained, arrays), mean.numpy(), atol=1e-6)
    assert np.array_equal(train.embed(trained, arrays), train.embed(trained, arrays))


def test_other_songs_are_embedded_with_the_scaling_of_the_training(arrays):
    # A track keeps its place whatever it comes with.
    trained = train.fit("vae", arrays, seeds=[0], epochs=2, **SMALL)
    few = np.concatenate([arrays["audio"][:3], arrays["audio"][:3] + 1000.0])
    np.testing.assert_allclose(
        train.embed(trained, {"audio": few})[:, :3], train.embed(trained, arrays)[:, :3], atol=1e-5
    )


def test_a_song_without_lyrics_is_embedded_by_its_sound(arrays, lyrics):
    both = arrays | {"lyrics": lyrics}
    trained = train.fit("multimodal_vae", both, seeds=[0, 1], epochs=5, **SMALL)
    whole = train.embed(trained, both)
    silent = np.flatnonzero(np.isnan(lyrics).any(axis=1))
    assert np.isfinite(whole).all()
    # Alone, all together, with rows of NaN or without any lyrics at all: the same.
    one = {"audio": arrays["audio"][7:8], "lyrics": lyrics[7:8]}
    np.testing.assert_allclose(train.embed(trained, one)[:, 0], whole[:, 7], atol=1e-6)
    without = train.embed(trained, arrays)
    np.testing.assert_allclose(without[:, silent], whole[:, silent], atol=1e-6)
    heard = np.setdiff1d(np.arange(N), silent)
    assert (np.abs(without - whole)[:, heard].max(axis=2) > 1e-4).all()
    assert {name: out.shape for name, out in train.decode(trained, without).items()} == {
        "audio": (2, N, 10),
        "lyrics": (2, N, 5),
    }


def test_what_is_decoded_comes_in_the_units_of_the_training(arrays, lyrics):
    options = SMALL | {"hidden": (16,), "dropout": 0.0, "learning_rate": 1e-2, "seeds": [0], "beta": 0.05}
    both = {"audio": arrays["audio"] * 10.0 ** np.arange(-4, 6), "lyrics": np.where(np.isnan(lyrics), 1.0, lyrics)}
    trained = train.fit("multimodal_vae", both, epochs=150, errors={"lyrics": "cosine"}, **options)
    decoded = train.decode(trained, train.embed(trained, both))
    error = (decoded["audio"][0] - both["audio"]).std(axis=0) / both["audio"].std(axis=0)
    assert (error < 0.4).all()
    np.testing.assert_allclose(np.linalg.norm(decoded["lyrics"][0], axis=1), 1.0, rtol=1e-5)


def test_the_diagnosis_says_what_each_latent_carries(arrays):
    trained = train.fit("vae", arrays, seeds=[0, 1], epochs=5, beta=0.2, **SMALL)
    table, divergence = train.diagnose(trained, arrays)
    x = torch.from_numpy(((arrays["audio"] - arrays["audio"].mean(0)) / arrays["audio"].std(0)).astype(np.float32))
    posterior = trained.model.encode({"audio": x.expand(2, -1, -1)})
    np.testing.assert_allclose(divergence, elbo.kl_divergence(posterior).mean(1), rtol=1e-4)
    np.testing.assert_allclose(table["kl"], divergence.sum(1), rtol=1e-4)
    assert table["seed"].tolist() == [0, 1]
    last = trained.history.query("epoch == 5")
    assert table["active_units"].tolist() == last["active_units"].tolist()
    pd.testing.assert_frame_equal(train.diagnose(trained, arrays)[0], table)


# History, warm-up, free bits, held-out tracks


def test_the_history_has_a_row_per_epoch_and_seed_and_adds_up(arrays):
    history = train.fit("vae", arrays, seeds=[4, 2], epochs=3, beta=0.5, **SMALL).history
    assert history[["epoch", "seed"]].to_numpy().tolist() == [[e, s] for e in (1, 2, 3) for s in (4, 2)]
    np.testing.assert_allclose(history["loss"], history["reconstruction"] + 0.5 * history["kl"], rtol=1e-5)
    assert np.isfinite(history["validation_loss"]).all()


def test_the_weight_of_the_divergence_rises_in_equal_steps(arrays):
    history = train.fit("vae", arrays, seeds=[0], epochs=6, beta=2.0, warmup=4, **SMALL).history
    weight = (history["loss"] - history["reconstruction"]) / history["kl"]
    np.testing.assert_allclose(weight, [0.5, 1.0, 1.5, 2.0, 2.0, 2.0], rtol=1e-3)


def test_the_validation_loss_has_the_full_weight_from_the_start(arrays):
    # Otherwise epochs of the warm-up would look better than all that come after.
    options = SMALL | {"seeds": [0], "epochs": 1, "beta": 50.0, "learning_rate": 1e-12}
    slow, full = (train.fit("vae", arrays, warmup=warmup, **options).history for warmup in (10, 0))
    assert slow["validation_loss"][0] == pytest.approx(full["validation_loss"][0], rel=1e-5)
    assert slow["loss"][0] < full["loss"][0]


def test_free_bits_are_not_paid_for_and_the_reported_kl_is_the_whole_one(arrays):
    options = SMALL | {"seeds": [0, 1], "epochs": 60, "dropout": 0.0, "learning_rate": 1e-2, "beta": 10.0}
    free = train.fit("vae", arrays, free_bits=0.5, **options).history
    paid = (free["loss"] - free["reconstruction"]) / 10.0
    assert (paid >= 4 * 0.5 - 1e-3).all()
    assert (paid >= free["kl"] - 1e-3).all()
    plain = train.fit("vae", arrays, **options).history
    assert (free.query("epoch == 60")["kl"].to_numpy() > plain.query("epoch == 60")["kl"].to_numpy()).all()


def test_held_out_tracks_never_move_a_weight_and_alone_make_the_validation_loss():
    # Directions are scaled one by one, so that a track can be changed without touching the others.
    lyrics = np.random.default_rng(4).normal(size=(12, 5))
    options = SMALL | {"seeds": [0, 1], "epochs": 2, "validation": 0.25, "errors": {"lyrics": "cosine"}}
    base = train.fit("vae", {"lyrics": lyrics}, **options)
    held_out, seen = [[], []], [[], []]
    for row in range(12):
        changed = lyrics.copy()
        changed[row] = -changed[row]
        trained = train.fit("vae", {"lyrics": changed}, **options)
        for member in range(2):
            pairs = zip(weights_of(base).values(), weights_of(trained).values(), strict=True)
            if all(np.array_equal(one[member], other[member]) for one, other in pairs):
                held_out[member].append(row)
                one, other = (fit.history[fit.history["seed"] == member] for fit in (base, trained))
                assert (one["loss"].to_numpy() == other["loss"].to_numpy()).all()
                seen[member].append((one["validation_loss"].to_numpy() != other["validation_loss"].to_numpy()).all())
    assert [len(rows) for rows in held_out] == [3, 3]
    assert all(all(flags) for flags in seen)
    assert held_out[0] != held_out[1]  # each seed its own


def test_without_held_out_tracks_there_is_no_validation_loss_and_every_track_counts(arrays):
    trained = train.fit("vae", arrays, seeds=[0], epochs=2, validation=0.0, **SMALL)
    assert trained.history["validation_loss"].isna().all()


@pytest.mark.parametrize(("n", "batch_size", "validation"), [(2, 32, 0.1), (3, 1, 0.5), (17, 16, 0.0), (5, 500, 0.1)])
@pytest.mark.parametrize("recipe", ["vae", "ae"])
def test_few_tracks_and_odd_batches_will_do(recipe, n, batch_size, validation, arrays):
    few = {"audio": arrays["audio"][:n]}
    options = SMALL | {"batch_size": batch_size, "validation": validation}
    latents = train.embed(train.fit(recipe, few, seeds=[0], epochs=3, **options), few)
    assert latents.shape == (1, n, 4)
    assert np.isfinite(latents).all()


# Early stopping

OVERFIT = SMALL | {"dropout": 0.0, "learning_rate": 2e-2, "beta": 0.01, "validation": 0.2}


@pytest.fixture(scope="module")
def noise():
    return {"audio": np.random.default_rng(7).normal(size=(30, 10))}


@pytest.fixture(scope="module")
def stopped(noise):
    return train.fit("vae", noise, seeds=[0, 1, 2], epochs=200, patience=6, **OVERFIT)


def test_a_seed_stops_when_its_held_out_tracks_are_explained_no_better(stopped):
    ends = {}
    for seed, history in stopped.history.groupby("seed"):
        loss = history.set_index("epoch")["validation_loss"]
        ends[seed] = loss.index[-1]
        assert loss.index[-1] == loss.idxmin() + 6
        assert loss.index.tolist() == list(range(1, ends[seed] + 1))
    assert max(ends.values()) < 200
    assert len(set(ends.values())) > 1  # each by itself


def test_a_seed_keeps_the_weights_of_its_best_epoch(stopped, noise):
    for member, history in stopped.history.groupby("seed"):
        best = int(history.set_index("epoch")["validation_loss"].idxmin())
        until = train.fit("vae", noise, seeds=[0, 1, 2], epochs=best, **OVERFIT)
        assert np.array_equal(train.embed(until, noise)[member], train.embed(stopped, noise)[member])


def test_when_a_seed_stops_does_not_depend_on_its_company(stopped, noise):
    alone = train.fit("vae", noise, seeds=[1], epochs=200, patience=6, **OVERFIT)
    assert len(alone.history) == (stopped.history["seed"] == 1).sum()
    np.testing.assert_allclose(train.embed(alone, noise)[0], train.embed(stopped, noise)[1], atol=1e-3)


def test_no_seed_stops_while_the_weight_of_the_divergence_still_rises(noise):
    trained = train.fit("vae", noise, seeds=[0, 1], epochs=60, patience=2, warmup=25, **OVERFIT)
    assert (trained.history.groupby("seed")["epoch"].max() >= 27).all()


@pytest.mark.parametrize("epochs", [1, 4])
def test_a_training_that_ends_within_the_warm_up_keeps_its_last_epoch(epochs, noise):
    stopping, plain = (
        train.fit("vae", noise, seeds=[0, 1], epochs=epochs, warmup=10, patience=patience, **OVERFIT)
        for patience in (2, None)
    )
    assert np.array_equal(train.embed(stopping, noise), train.embed(plain, noise))


# Divergence


def test_a_divergence_names_the_seed_and_the_epoch(arrays):
    with pytest.raises(train.DivergenceError, match=r"loss of seed 5 is (nan|inf) in epoch \d+: lower learning_rate"):
        train.fit("vae", arrays, seeds=[5], epochs=50, learning_rate=1e4, **SMALL)


def test_weights_lost_in_the_very_last_step_are_not_handed_over(arrays):
    # The loss is measured before the step, and would still be finite.
    options = SMALL | {"batch_size": 100}
    with pytest.raises(train.DivergenceError, match=r"latents of seed 5 are no longer finite in epoch 1: lower learn"):
        train.fit("vae", arrays, seeds=[5], epochs=1, learning_rate=1e30, **options)


# Checkpoints

KILLED = """
import sys, time
import numpy as np, torch
from vae_lib import checkpoint, train
torch.set_num_threads(1)
train.CHECKPOINT_SECONDS = 0.0
write = checkpoint.write
def slow(*arguments):
    write(*arguments)
    time.sleep(0.02)
checkpoint.write = slow
options = {options!r}
train.fit("vae", {{"audio": np.load(sys.argv[1])}}, checkpoint=sys.argv[2], **options)
"""


def same(one, other, inputs, condition=None):
    pd.testing.assert_frame_equal(one.history, other.history, check_exact=True)
    latents = [train.embed(trained, inputs, condition=condition) for trained in (one, other)]
    return np.array_equal(*latents)


def test_a_training_that_is_killed_goes_on_and_ends_as_if_it_had_not_been(arrays, tmp_path):
    options = SMALL | {"seeds": [0, 1, 2], "epochs": 60, "patience": 8, "warmup": 5, "learning_rate": 1e-2}
    np.save(tmp_path / "audio.npy", arrays["audio"])
    folder = tmp_path / "kept"
    script = [sys.executable, "-c", KILLED.format(options=options), tmp_path / "audio.npy", folder]
    child = subprocess.Popen(script, stderr=subprocess.PIPE)
    deadline, epoch = time.monotonic() + 120, 0
    while epoch < 7 and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
        if checkpoints.exists(folder):
            epoch = json.loads((folder / checkpoints.ROOT).read_text())["epoch"]
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, child.stderr.read().decode()
    child.stderr.close()
    kept = json.loads((folder / checkpoints.ROOT).read_text())["epoch"]
    assert 7 <= kept < 60
    with pytest.raises(ParameterError, match=rf"a training that was cut off after epoch {kept}: give it to fit"):
        train.load(folder)
    resumed = train.fit("vae", arrays, checkpoint=folder, **options)
    uninterrupted = train.fit("vae", arrays, **options)
    assert same(resumed, uninterrupted, arrays)
    assert same(train.load(folder), uninterrupted, arrays)


def test_more_epochs_go_on_from_where_it_was_and_no_more_do_nothing(arrays, tmp_path):
    options = SMALL | {"seeds": [0, 1], "checkpoint": tmp_path}
    train.fit("vae", arrays, epochs=4, **options)
    longer = train.fit("vae", arrays, epochs=9, **options)
    assert same(longer, train.fit("vae", arrays, epochs=9, **{**options, "checkpoint": None}), arrays)
    content = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert same(train.fit("vae", arrays, epochs=9, **options), longer, arrays)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == content
    with pytest.raises(ParameterError, match=r"epochs must be at least 9, which .* has had, got 5"):
        train.fit("vae", arrays, epochs=5, **options)


@pytest.mark.parametrize("patience", [None, 2])
@pytest.mark.parametrize("recipe", list(RECIPES))
def test_a_training_loads_back_and_embeds_bitwise_as_before(recipe, patience, given, tmp_path):
    inputs, condition, options = given(recipe)
    options = SMALL | {"seeds": [3, 1], "epochs": 3, "patience": patience, "condition": condition} | options
    trained = train.fit(recipe, inputs, checkpoint=tmp_path, about={"corpus": "abc"}, **options)
    loaded = train.load(tmp_path)
    assert same(loaded, trained, inputs, condition)
    assert (loaded.recipe, loaded.seeds, loaded.categories) == (trained.recipe, trained.seeds, trained.categories)
    latents = train.embed(trained, inputs, condition=condition)
    one, other = (train.decode(fit, latents, condition=condition) for fit in (trained, loaded))
    assert all(np.array_equal(one[name], other[name]) for name in inputs)
    pd.testing.assert_frame_equal(*(train.diagnose(fit, inputs, condition=condition)[0] for fit in (trained, loaded)))
    if trained.model.prior is not None:
        assert np.array_equal(train.components(trained, inputs), train.components(loaded, inputs))
    assert checkpoints.read(tmp_path)[0]["about"] == {"corpus": "abc"}
    # What was loaded can be trained no further by accident.
    assert not any(weight.requires_grad for weight in loaded.model.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": "ae"}, "its recipe differ, vae there and ae here"),
        ({"beta": 2.0}, "beta is 1.0 there and 2.0 here"),
        (
            {"hidden": (16,), "batch_size": 8},
            r"batch_size is 16 there and 8 here, hidden is \[16, 8\] there and \[16\] h",
        ),
        ({"dropout": 0.1}, "dropout is None there and 0.1 here"),
        ({"patience": 3}, "patience is None there and 3 here"),
        ({"seeds": [0, 2]}, r"its seeds differ, \[0, 1\] there and \[0, 2\] here"),
        ({"seeds": [1, 0]}, "its seeds differ"),
        ({"arrays": {"audio": np.ones((N, 10))}}, "its data differ"),
        ({"arrays": {"audio": np.ones((N, 9))}}, "its shapes differ"),
        ({"arrays": {"sound": np.ones((N, 10))}}, "its shapes differ"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(change, message, arrays, tmp_path):
    options = SMALL | {"recipe": "vae", "arrays": arrays, "seeds": [0, 1], "epochs": 1, "checkpoint": tmp_path}
    train.fit(**options)
    before = (tmp_path / checkpoints.ROOT).read_bytes()
    with pytest.raises(
        ParameterError, match=rf"checkpoint .* is of another training: .*{message}.*; give another folder"
    ):
        train.fit(**(options | change))
    assert (tmp_path / checkpoints.ROOT).read_bytes() == before


def test_one_other_value_or_label_makes_it_other_data(arrays, tmp_path):
    labels = [*"ab"] * 25
    options = SMALL | {"recipe": "cvae", "seeds": [0], "epochs": 1, "checkpoint": tmp_path}
    train.fit(arrays=arrays, condition=labels, **options)
    nudged = {"audio": arrays["audio"] + 1e-3 * (np.arange(N) == 3)[:, None]}
    for inputs, condition in ((nudged, labels), (arrays, ["b", *labels[1:]])):
        with pytest.raises(ParameterError, match="is of another training: its data differ"):
            train.fit(arrays=inputs, condition=condition, **options)


def test_numbers_of_numpy_are_settings_like_any_other(arrays, tmp_path):
    options = SMALL | {"recipe": "vae", "arrays": arrays, "epochs": 2, "checkpoint": tmp_path}
    theirs = {"latent_dim": np.int64(4), "beta": np.float32(0.5), "seeds": np.arange(2), "hidden": np.array([16, 8])}
    first = train.fit(**(options | theirs))
    again = train.fit(**(options | {"beta": 0.5, "seeds": [0, 1]}))
    assert same(again, first, arrays)


def test_a_damaged_checkpoint_is_one_clear_error_for_fit_and_load(arrays, tmp_path):
    options = SMALL | {"seeds": [0], "epochs": 1, "checkpoint": tmp_path}
    train.fit("vae", arrays, **options)
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-8])
    for use in (lambda: train.load(tmp_path), lambda: train.fit("vae", arrays, **options)):
        with pytest.raises(ParameterError, match=rf"{path.name} is damaged: .*; delete .* and train anew"):
            use()
    with pytest.raises(ParameterError, match=r"cannot read .*nowhere"):
        train.load(tmp_path / "nowhere")


# Several trainings


def jobs(arrays):
    options = SMALL | {"arrays": arrays, "seeds": [0, 1], "epochs": 3}
    return {
        "slow": options | {"recipe": "vae", "epochs": 12},
        "plain": options | {"recipe": "ae"},
        "told": options | {"recipe": "cvae", "condition": [*"ab"] * 25},
    }


@pytest.mark.parametrize("workers", [1, 2])
def test_several_trainings_side_by_side_are_those_one_by_one_in_the_order_asked_for(workers, arrays):
    asked = jobs(arrays)
    found = train.fit_many(asked, workers=workers, progress=False)
    assert list(found) == ["slow", "plain", "told"]
    for name, options in asked.items():
        condition = options.get("condition")
        assert same(found[name], train.fit(**options), arrays, condition)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_training_that_fails_among_several_is_named(workers, arrays):
    asked = jobs(arrays) | {"wild": jobs(arrays)["slow"] | {"learning_rate": 1e4, "epochs": 50}}
    with pytest.raises(train.DivergenceError, match=r"^wild: the \w+ of seed \d"):
        train.fit_many(asked, workers=workers, progress=False)
    asked = {"told": jobs(arrays)["told"] | {"condition": None}}
    with pytest.raises(ParameterError, match=r"^told: condition must give at least two different labels"):
        train.fit_many(asked, workers=workers, progress=False)


def test_trainings_side_by_side_may_not_share_a_checkpoint(arrays, tmp_path):
    asked = {name: options | {"checkpoint": tmp_path / "a" / ".." / "b"} for name, options in jobs(arrays).items()}
    asked["told"]["checkpoint"] = str(tmp_path / "c")
    with pytest.raises(ParameterError, match=r"checkpoint must be a folder of its own for every job, got .*b"):
        train.fit_many(asked, progress=False)


def test_no_trainings_are_none():
    assert train.fit_many({}, progress=False) == {}


# Errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": "gan"}, f"recipe must be one of {', '.join(RECIPES)}, got 'gan'"),
        ({"beta": -1.0}, r"beta must be a number in \[0, inf\), got -1.0"),
        ({"beta": "1"}, r"beta must be a number in \[0, inf\), got '1'"),
        ({"epochs": -1}, "epochs must be a whole number of at least 0, got -1"),
        ({"epochs": 2.5}, "epochs must be a whole number of at least 0, got 2.5"),
        ({"learning_rate": 0.0}, r"learning_rate must be a number in \(0, inf\), got 0.0"),
        ({"learning_rate": np.nan}, r"learning_rate must be a number in \(0, inf\), got nan"),
        ({"seeds": []}, r"seeds must be distinct and at least one, got \[\]"),
        ({"seeds": [1, 1]}, r"seeds must be distinct and at least one, got \[1, 1\]"),
        ({"seeds": [-1]}, "seeds must be a whole number of at least 0, got -1"),
        ({"seeds": 10}, "seeds must be a list of whole numbers of at least 0, got 10"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, got 0"),
        ({"warmup": -1}, "warmup must be a whole number of at least 0, got -1"),
        ({"free_bits": -0.1}, r"free_bits must be a number in \[0, inf\), got -0.1"),
        ({"validation": 0.6}, r"validation must be a number in \[0, 0.5\], got 0.6"),
        ({"patience": 0}, "patience must be a whole number of at least 1, got 0"),
        ({"patience": 3, "validation": 0.0}, "validation must be above 0 where patience is given"),
        ({"pretrain_epochs": 0}, "pretrain_epochs must be a whole number of at least 1, got 0"),
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda, got 'tpu'"),
        ({"latent_dim": 0}, "latent_dim must be a whole number of at least 1, got 0"),
        ({"about": {"x": float("nan")}}, "about must hold what JSON can, got {'x': nan}"),
        ({"about": {"x": object()}}, "about must hold what JSON can, got {'x': <object"),
        ({"arrays": {}}, "arrays must hold at least one modality, got none"),
        ({"arrays": {"audio": np.array([[1.0, np.nan]])}}, r"arrays\['audio'\] must be finite: 1 value"),
        ({"arrays": {"audio": np.zeros((3, 2)), "lyrics": np.zeros((4, 2))}}, r"arrays\['lyrics'\] must have 3 rows"),
        (
            {"arrays": {"audio": np.zeros((1, 2))}},
            "arrays must have more than one track where some are held out, got 1",
        ),
        ({"recipe": "conv_vae"}, r"arrays must hold images of shape \(n, height, width\) for 'conv_vae', got none"),
        ({"recipe": "multimodal_vae"}, r"arrays must hold at least 2 modalities for 'multimodal_vae', got \['audio'\]"),
        ({"recipe": "cvae"}, "condition must give at least two different labels to recipe 'cvae', got 0"),
        ({"recipe": "cvae", "condition": ["a"] * N}, "condition must give at least two different labels .* got 1"),
        ({"recipe": "cvae", "condition": ["a", "b"]}, f"condition must have {N} entries, one per track, got 2"),
        ({"recipe": "cvae", "condition": ["a", None] * 25}, "condition must have a label for every track: 25 missing"),
        ({"condition": ["a", "b"] * 25}, "condition must be left out: recipe 'vae' is not conditional"),
        ({"recipe": "vade", "components": N + 1}, f"components must be at most the {N} tracks of arrays, got {N + 1}"),
        ({"recipe": "ae", "components": 3}, "components must be 0 for an autoencoder: a point has no prior, got 3"),
    ],
)
def test_bad_input_is_one_clear_error(arrays, change, message):
    options = {"recipe": "vae", "arrays": arrays, "seeds": [0], "epochs": 1} | SMALL | change
    with pytest.raises(ParameterError, match=message):
        train.fit(**options)


@pytest.mark.parametrize(
    ("recipe", "message"),
    [("ae", "arrays must be complete for an autoencoder"), ("vade", "arrays must be complete for recipe 'vade'")],
)
def test_what_starts_from_a_point_cannot_do_with_missing_tracks(recipe, message, arrays, lyrics):
    both = arrays | {"lyrics": lyrics}
    with pytest.raises(ParameterError, match=message):
        train.fit(recipe, both, seeds=[0], epochs=1, **SMALL)
    full = train.fit("ae", arrays | {"lyrics": np.nan_to_num(lyrics)}, seeds=[0], epochs=1, **SMALL)
    with pytest.raises(ParameterError, match="arrays must be complete for an autoencoder"):
        train.embed(full, both)


def test_a_gpu_that_is_not_there_is_one_clear_error(arrays, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ParameterError, match="device must be 'cpu' or 'auto' here: there is no GPU"):
        train.fit("vae", arrays, seeds=[0], epochs=1, device="cuda", **SMALL)
    on_cpu = train.fit("vae", arrays, seeds=[0], epochs=1, device="auto", **SMALL)
    assert {weight.device.type for weight in on_cpu.model.parameters()} == {"cpu"}


def test_songs_that_do_not_fit_the_model_are_one_clear_error(arrays):
    plain = train.fit("vae", arrays, seeds=[0, 1], epochs=1, **SMALL)
    told = train.fit("cvae", arrays, condition=[*"ab"] * 25, seeds=[0], epochs=1, **SMALL)
    for use in (train.embed, train.diagnose):
        with pytest.raises(
            ParameterError, match=r"arrays\['audio'\] must have shape \(n, 10\) as in training, got \(n, 9"
        ):
            use(plain, {"audio": arrays["audio"][:, :9]})
        with pytest.raises(ParameterError, match="arrays must hold audio as in training, got sound"):
            use(plain, {"sound": arrays["audio"]})
        with pytest.raises(ParameterError, match="condition must be left out"):
            use(plain, arrays, condition=["a"] * N)
        with pytest.raises(ParameterError, match="condition must give one of a, b per track, got none"):
            use(told, arrays)
        with pytest.raises(ParameterError, match="condition must be one of a, b, got 'c' in row 0"):
            use(told, arrays, condition=["c"] * N)
    with pytest.raises(ParameterError, match="trained must have a mixture prior, recipe 'vae' has none"):
        train.components(plain, arrays)
    with pytest.raises(
        ParameterError, match=r"latents must have shape \(2, n, 4\), one space per seed, got \(2, 3, 5\)"
    ):
        train.decode(plain, np.zeros((2, 3, 5)))
    with pytest.raises(ParameterError, match=r"latents must have shape \(2, n, 4\).*, got \(1, 3, 4\)"):
        train.decode(plain, np.zeros((1, 3, 4)))
    with pytest.raises(ParameterError, match="condition must give one of a, b per track, got none"):
        train.decode(told, np.zeros((1, 3, 4)))


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


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"latnet_dim": 3}, "option of the architecture must be one of latent_dim, hidden, .*got 'latnet_dim'"),
        ({"members": 3}, "option of the architecture must be one of .*got 'members'"),
        ({"errors": "cosine"}, "errors must map modalities to names"),
    ],
)
def test_an_option_that_does_not_exist_is_named(option, message):
    with pytest.raises(ParameterError, match=message):
        train.fit("vae", {"audio": np.eye(8)}, seeds=[0], epochs=1, progress=False, **option)
