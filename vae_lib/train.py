"""Training: all seeds of a recipe at once, repeatable, each seed independent of its company."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
import pandas as pd
import torch
from sklearn.mixture import GaussianMixture
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from vae_lib import checkpoint as checkpoints
from vae_lib import checks, elbo, inputs, models, networks
from vae_lib.checks import ParameterError
from vae_lib.inputs import Inputs, Scaling
from vae_lib.models import RECIPES, VAE, Output

STREAMS = ("init", "batches", "noise", "held_out", "validation")
"""What is random in training; each has generators of its own, so that changing one leaves the others as they were."""

CHECKPOINT_SECONDS = 20.0
"""A checkpoint is written when the last one is older than this, and at the end."""

MEASURED_TRACKS = 256
"""Active units are counted along the way on at most so many tracks, evenly spaced over the corpus."""


class DivergenceError(ArithmeticError):
    """The loss of a seed is no longer finite."""


class Fit(NamedTuple):
    """A trained ensemble, with all that is needed to use it on other songs.

    Attributes
    ----------
    model : VAE
        One member per seed, in the order of `seeds`.
    history : pandas.DataFrame
        One row per epoch and seed: `epoch` (from 1), `seed`, `loss`, `reconstruction` and `kl` (nats per track,
        averaged over the epoch's batches), `active_units` at its end, and `validation_loss`: the loss of the held-out
        tracks with the full weight of the KL divergence, the negative ELBO for β = 1; NaN if none are held out.
    seeds : tuple of int
    recipe : str
    settings : dict
        Everything else that it was trained with.
    scaling : dict of modality to Scaling
    categories : tuple of str
        The labels that a conditional model is told; empty for others.
    seconds : float
        What the training took.
    """

    model: VAE
    history: pd.DataFrame
    seeds: tuple[int, ...]
    recipe: str
    settings: dict[str, object]
    scaling: dict[str, Scaling]
    categories: tuple[str, ...]
    seconds: float


def fit(
    recipe: str,
    arrays: Mapping[str, np.ndarray],
    *,
    seeds: Sequence[int],
    epochs: int,
    condition: Sequence[object] | None = None,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    beta: float | None = None,
    warmup: int = 0,
    free_bits: float = 0.0,
    validation: float = 0.1,
    patience: int | None = None,
    pretrain_epochs: int = 50,
    device: str = "auto",
    checkpoint: Path | str | None = None,
    about: Mapping[str, object] | None = None,
    progress: bool = True,
    **architecture: object,
) -> Fit:
    """Train every seed of `recipe` in one go with Adam.

    A seed gets its own weights, batches, noise and held-out tracks, so that it comes out the same in any company (up
    to the rounding of batched products), and bitwise the same in the same company on one thread.

    Parameters
    ----------
    recipe : str
        A name in `models.RECIPES`.
    arrays : mapping of modality to array, shape (n, d) or (n, height, width)
        Rows aligned; a row of NaN is a missing one. Modalities with a Gaussian term are standardised here, per column
        or per band, over all tracks given; those with a cosine term are divided by their length.
    seeds : sequence of int
        Distinct, at least 0.
    epochs : int
        Passes over the corpus, at most; 0 gives the network as it starts, untrained, and writes no checkpoint.
    condition : sequence, shape (n,), optional
        The label that a conditional recipe is told, such as the language.
    batch_size : int
        Tracks per step; the last batch of an epoch holds what is left.
    learning_rate : float
        Step size of Adam.
    beta : float, optional
        Weight of the KL divergence, at least 0; the recipe's own by default.
    warmup : int
        Epochs over which that weight rises from 0, in equal steps.
    free_bits : float
        Nats per latent that are free of it, at least 0.
    validation : float
        Share of the tracks held out, each seed its own, from 0 to 0.5: they give the validation loss.
    patience : int, optional
        Stop a seed when its validation loss has not improved for so many epochs, and keep its best epoch's weights.
    pretrain_epochs : int
        For a mixture prior: epochs of the autoencoder it starts from.
    device : {"auto", "cpu", "cuda"}
        "auto" takes the GPU if there is one. Random numbers are the same on both.
    checkpoint : path, optional
        Folder to keep the training in. If it holds one of the same recipe, settings and data, that one goes on from
        where it was, and ends as if it had never been interrupted; more epochs than before are allowed.
    about : mapping, optional
        Facts to keep in the checkpoint, such as the hash of the corpus; what JSON can hold.
    progress : bool
        Whether to show a progress line on standard error.
    **architecture
        Options of `models.compose`, such as `latent_dim`, `hidden` and `dropout`.

    Returns
    -------
    Fit

    Raises
    ------
    ParameterError
        If an argument is out of range, arrays are not aligned or not finite, the recipe needs what is not there, or
        the checkpoint is of another training.
    DivergenceError
        If a loss becomes NaN or infinite; the message names the seed and the epoch.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import train
    >>> x = np.random.default_rng(0).normal(size=(40, 6))
    >>> fit = train.fit("vae", {"audio": x}, seeds=[0, 1], epochs=3, latent_dim=2, hidden=[8], progress=False)
    >>> fit.history.columns.tolist()
    ['epoch', 'seed', 'loss', 'reconstruction', 'kl', 'active_units', 'validation_loss']
    >>> train.embed(fit, {"audio": x}).shape
    (2, 40, 2)
    """
    plan = RECIPES[checks.one_of(recipe, "recipe", RECIPES)]
    for option in architecture:
        checks.one_of(option, "option of the architecture", models.OPTIONS)
    settings = {
        "batch_size": checks.count(batch_size, "batch_size"),
        "learning_rate": checks.in_range(learning_rate, "learning_rate", low=0.0, open_low=True),
        "beta": checks.in_range(plan.beta if beta is None else beta, "beta", low=0.0),
        "warmup": checks.count(warmup, "warmup", low=0),
        "free_bits": checks.in_range(free_bits, "free_bits", low=0.0),
        "validation": checks.in_range(validation, "validation", low=0.0, high=0.5),
        "patience": None if patience is None else checks.count(patience, "patience"),
        "pretrain_epochs": checks.count(pretrain_epochs, "pretrain_epochs"),
        "architecture": {**plan.defaults, **architecture},
    }
    checks.count(epochs, "epochs", low=0)
    try:
        about = _as_read(dict(about or {}))
    except (TypeError, ValueError, AttributeError) as error:
        raise ParameterError(f"about must hold what JSON can, got {about!r}: {error}") from None
    seeds = tuple(checks.counts(seeds, "seeds", low=0))
    if not seeds or len(set(seeds)) < len(seeds):
        raise ParameterError(f"seeds must be distinct and at least one, got {list(seeds)}")
    if patience is not None and not validation:
        raise ParameterError("validation must be above 0 where patience is given: held-out tracks decide when to stop")
    arrays = inputs.check(arrays)
    shapes = {name: array.shape[1:] for name, array in arrays.items()}
    categories = () if condition is None else tuple(sorted(set(inputs.known(condition))))
    _check_needs(recipe, shapes, categories)

    model = models.compose(shapes, members=len(seeds), categories=len(categories), **settings["architecture"])
    scaling = inputs.scalings(arrays, model.errors)
    data = inputs.prepare(arrays, scaling, condition=condition, categories=categories)
    if model.prior is not None:
        if model.prior.mean.shape[1] > len(data):
            raise ParameterError(
                f"components must be at most the {len(data)} tracks of arrays, got {model.prior.mean.shape[1]}"
            )
        if data.present:
            raise ParameterError(f"arrays must be complete for recipe {recipe!r}: it starts from an autoencoder")
    _check_complete(model, data)
    empty = Fit(model, pd.DataFrame(), seeds, recipe, settings, scaling, categories, 0.0)
    training = _Training(empty, data, _device(device), {"about": about, "data": data.hash})
    if checkpoint is not None and checkpoints.exists(checkpoint):
        training.resume(checkpoint, epochs=epochs)
    else:
        networks.initialise(model, _generators(seeds, "init"))
        if model.prior is not None:
            plain = {name: value for name, value in architecture.items() if name != "components"}
            options = {key: settings[key] for key in ("batch_size", "learning_rate", "validation")} | plain
            options |= {"seeds": seeds, "epochs": pretrain_epochs, "device": device, "progress": progress}
            _start_from(fit("ae", arrays, condition=condition, **options), arrays, condition, model)
    training.run(epochs, checkpoint=checkpoint, progress=progress)
    return training.result()


class _Training:
    """The state of a training between two epochs."""

    def __init__(self, start: Fit, data: Inputs, device: torch.device, facts: Mapping[str, object]) -> None:
        self.start, self.seeds, self.settings = start, start.seeds, start.settings
        self.model, self.data = start.model.to(device), data.to(device)
        self.facts = _facts(start, {name: tuple(values.shape[1:]) for name, values in data.tensors.items()}) | facts
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=self.settings["learning_rate"], fused=True)
        self.epoch, self.seconds = 0, 0.0
        self.history: list[np.ndarray] = []
        held_out = round(self.settings["validation"] * len(data))
        if self.settings["validation"]:
            held_out = max(held_out, 1)
        if held_out == len(data):
            raise ParameterError(f"arrays must have more than one track where some are held out, got {len(data)}")
        order = torch.stack([torch.randperm(len(data), generator=g) for g in _generators(self.seeds, "held_out")])
        self.held_out, self.rows = order[:, :held_out], order[:, held_out:]
        self.running = np.ones(len(self.seeds), dtype=bool)
        self.best_loss = np.full(len(self.seeds), np.inf)
        self.best_epoch = np.zeros(len(self.seeds), dtype=int)
        self.best = {name: weight.detach().clone() for name, weight in self.model.named_parameters()}

    def run(self, epochs: int, *, checkpoint: Path | str | None, progress: bool) -> None:
        """Train up to epoch `epochs`, or until every seed has stopped."""
        if not self.epoch:
            self.best = {name: weight.detach().clone() for name, weight in self.model.named_parameters()}
        if self.epoch >= epochs or not self.running.any():
            return
        line = tqdm(
            total=epochs, initial=self.epoch, desc=self.start.recipe, unit="epoch", leave=False, disable=not progress
        )
        started = saved = time.monotonic()
        before = self.seconds
        with line:
            while self.epoch < epochs and self.running.any():
                self.epoch += 1
                self._measure(self._pass())
                line.update()
                self.seconds = before + time.monotonic() - started
                last = self.epoch == epochs or not self.running.any()
                if checkpoint is not None and (last or time.monotonic() - saved >= CHECKPOINT_SECONDS):
                    self._write(checkpoint, finished=last)
                    saved = time.monotonic()

    def result(self) -> Fit:
        """Give the trained ensemble; where seeds may stop early, each with the weights of its best epoch."""
        if self.settings["patience"]:
            with torch.no_grad():
                for name, weight in self.model.named_parameters():
                    weight.copy_(self.best[name])
        return self.start._replace(
            model=self.model.requires_grad_(False), history=_table(self.history), seconds=self.seconds
        )

    def _beta(self) -> float:
        rise = min(1.0, self.epoch / self.settings["warmup"]) if self.settings["warmup"] else 1.0
        return self.settings["beta"] * rise

    def _pass(self) -> np.ndarray:
        """Train for one epoch and give the mean terms of each seed, shape (terms, members)."""
        noise = _generators(self.seeds, "noise", self.epoch)
        batches = _generators(self.seeds, "batches", self.epoch)
        n = self.rows.shape[1]
        order = self.rows.gather(1, torch.stack([torch.randperm(n, generator=generator) for generator in batches]))
        sums = torch.zeros(len(elbo.Terms._fields), len(self.seeds), device=_device_of(self.model))
        weight = self._beta()
        for index in order.split(self.settings["batch_size"], dim=1):
            batch = self.data.rows(index)
            output = self.model(batch.tensors, noise, context=batch.context, present=batch.present)
            terms = _terms(self.model, batch, output, beta=weight, free_bits=self.settings["free_bits"])
            self.optimiser.zero_grad()
            terms.loss.sum().backward()  # members share no weight, so the gradient of the sum is each one's own
            self.optimiser.step()
            sums += torch.stack(terms).detach() * index.shape[1]
        return (sums / n).cpu().numpy()

    def _measure(self, means: np.ndarray) -> None:
        """Add the epoch to the history, refuse what is not finite, and stop the seeds that no longer improve."""
        few = torch.linspace(0, len(self.data) - 1, min(len(self.data), MEASURED_TRACKS)).long()
        latents = _encode(self.model, self.data.rows(few.expand(len(self.seeds), -1))).mean
        active = elbo.active_units(latents)
        held_out = np.full(len(self.seeds), np.nan)
        if self.held_out.shape[1]:
            batch = self.data.rows(self.held_out)
            output = _sampled(self.model, batch, self.seeds)
            held_out = _terms(self.model, batch, output, beta=self.settings["beta"]).loss.cpu().numpy()
        columns = [np.full(len(self.seeds), self.epoch), self.seeds, *means, active.cpu().numpy(), held_out]
        self.history.append(np.stack(columns, axis=1, dtype=float)[self.running])
        finite = latents.isfinite().all(dim=2).all(dim=1).cpu().numpy()
        diverged = self.running & ~(np.isfinite(means[0]) & finite)
        if diverged.any():
            what = f"loss of seed {self.seeds[diverged.argmax()]} is {means[0][diverged][0]}"
            if np.isfinite(means[0][diverged][0]):
                what = f"latents of seed {self.seeds[diverged.argmax()]} are no longer finite"
            raise DivergenceError(
                f"the {what} in epoch {self.epoch}: "
                f"lower learning_rate (now {self.settings['learning_rate']:g}) or check the scale of the input"
            )
        if self.settings["patience"]:
            # While the weight of the divergence still rises, the last epoch is the one to keep.
            rising = self.epoch <= max(self.settings["warmup"], 1)
            better = self.running & ((held_out < self.best_loss) | rising)
            self.best_loss[better], self.best_epoch[better] = held_out[better], self.epoch
            self.best_loss[~np.isfinite(self.best_loss)] = np.inf
            if better.any():
                members = torch.from_numpy(np.flatnonzero(better))
                for name, weight in self.model.named_parameters():
                    self.best[name][members] = weight.detach()[members]
            self.running &= self.epoch - self.best_epoch < self.settings["patience"]

    def _write(self, folder: Path | str, *, finished: bool) -> None:
        tensors = {f"best/{name}": weight for name, weight in self.best.items()}
        for name, weight in self.model.named_parameters():
            tensors[f"model/{name}"] = weight
            for key, value in self.optimiser.state[weight].items():
                tensors[f"adam/{key}/{name}"] = value
        for name, scaling in self.start.scaling.items():
            tensors |= {f"scaling/{key}/{name}": torch.from_numpy(v) for key, v in scaling._asdict().items()}
        tensors["history"] = torch.from_numpy(np.concatenate(self.history))
        for key in ("running", "best_loss", "best_epoch"):
            tensors[key] = torch.from_numpy(getattr(self, key))
        progress = {"epoch": self.epoch, "seconds": round(self.seconds, 2), "finished": bool(finished)}
        checkpoints.write(folder, self.facts | progress, tensors)

    def resume(self, folder: Path | str, *, epochs: int) -> None:
        """Take up the state that a checkpoint of the same training holds."""
        facts, tensors = checkpoints.read(folder)
        for key in ("recipe", "settings", "seeds", "shapes", "categories", "data"):
            if facts.get(key) != self.facts[key]:
                raise ParameterError(
                    f"checkpoint {folder} is of another training: {_difference(key, facts.get(key), self.facts[key])}; "
                    f"give another folder or delete it"
                )
        if facts["epoch"] > epochs:
            raise ParameterError(f"epochs must be at least {facts['epoch']}, which {folder} has had, got {epochs}")
        with torch.no_grad():
            for name, weight in self.model.named_parameters():
                weight.copy_(tensors[f"model/{name}"])
                self.best[name] = tensors[f"best/{name}"].to(weight.device)
                state = {key: tensors[f"adam/{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq")}
                self.optimiser.state[weight] = {key: value.to(weight.device) for key, value in state.items()}
        self.history = [tensors["history"].numpy()]
        for key in ("running", "best_loss", "best_epoch"):
            setattr(self, key, tensors[key].numpy())
        self.epoch, self.seconds = facts["epoch"], facts["seconds"]


def load(folder: Path | str) -> Fit:
    """Load a training that ran to its end with `checkpoint`.

    Parameters
    ----------
    folder : path
        The folder that was given to `fit`.

    Returns
    -------
    Fit
        It embeds bitwise as it did when it was trained.

    Raises
    ------
    ParameterError
        If there is no checkpoint or a file of it is damaged; the message names the file.
    """
    facts, tensors = checkpoints.read(folder)
    if not facts["finished"]:
        raise ParameterError(
            f"{folder} holds a training that was cut off after epoch {facts['epoch']}: give it to fit, which goes on"
        )
    shapes = {name: tuple(shape) for name, shape in facts["shapes"].items()}
    seeds, categories, settings = tuple(facts["seeds"]), tuple(facts["categories"]), facts["settings"]
    checks.one_of(facts["recipe"], f"recipe in {folder}", RECIPES)
    model = models.compose(shapes, members=len(seeds), categories=len(categories), **settings["architecture"])
    part = lambda prefix: {  # noqa: E731
        name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)
    }
    model.load_state_dict(part("best/" if settings["patience"] else "model/"))
    means, scales = part("scaling/mean/"), part("scaling/scale/")
    scaling = {name: Scaling(means[name].numpy(), scales[name].numpy()) for name in shapes if name in means}
    model.requires_grad_(False)
    history = _table([tensors["history"].numpy()])
    return Fit(model, history, seeds, facts["recipe"], settings, scaling, categories, facts["seconds"])


def fit_many(
    jobs: Mapping[str, Mapping[str, object]], *, workers: int | None = None, progress: bool = True
) -> dict[str, Fit]:
    """Run several `fit` side by side, each in a process of its own with one thread.

    Parameters
    ----------
    jobs : mapping of name to mapping
        The arguments of `fit` by name: ``{"base": {"recipe": "vae", "arrays": arrays, "seeds": range(10), …}}``.
    workers : int, optional
        Processes; as many as there are cores or jobs, whichever is less.
    progress : bool
        Whether to show a progress line on standard error.

    Returns
    -------
    dict of name to Fit
        In the order of `jobs`; the results do not depend on the number of workers.

    Raises
    ------
    ParameterError, DivergenceError
        Of a job, with its name in front.
    """
    folders = [str(Path(job["checkpoint"]).resolve()) for job in jobs.values() if job.get("checkpoint") is not None]
    if len(set(folders)) < len(folders):
        raise ParameterError(f"checkpoint must be a folder of its own for every job, got {', '.join(sorted(folders))}")
    workers = min(len(jobs), os.cpu_count() or 1) if workers is None else checks.count(workers, "workers")
    if workers <= 1:
        results = (_job(name, options) for name, options in jobs.items())
    else:
        tasks = (joblib.delayed(_job)(name, options) for name, options in jobs.items())
        results = joblib.Parallel(workers, return_as="generator_unordered")(tasks)
    done = dict(tqdm(results, total=len(jobs), unit="model", leave=False, disable=not progress))
    return {name: done[name] for name in jobs}


def _job(name: str, options: Mapping[str, object]) -> tuple[str, Fit]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return name, fit(**{"progress": False, **options})
    except (ParameterError, DivergenceError) as error:
        raise type(error)(f"{name}: {error}") from None
    finally:
        torch.set_num_threads(threads)


def embed(trained: Fit, arrays: Mapping[str, np.ndarray], *, condition: Sequence[object] | None = None) -> np.ndarray:
    """Posterior means of every track under every seed, in the order of the rows given: never samples.

    Parameters
    ----------
    trained : Fit
    arrays : mapping of modality to array
        In the units of the training; they may be other songs.
    condition : sequence, shape (n,), optional
        The label of each track, for a conditional recipe.

    Returns
    -------
    array of float, shape (seeds, n, latent)

    Raises
    ------
    ParameterError
        If arrays or labels do not fit the model.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import train
    >>> x = np.random.default_rng(0).normal(size=(40, 6))
    >>> fit = train.fit("vae", {"audio": x}, seeds=range(3), epochs=1, latent_dim=2, hidden=[8], progress=False)
    >>> latents = train.embed(fit, {"audio": x})
    >>> latents.shape, bool((latents == train.embed(fit, {"audio": x})).all())  # means, never samples
    ((3, 40, 2), True)
    """
    parts = [_encode(trained.model, batch).mean for batch in _batches(trained, arrays, condition)]
    return torch.cat(parts, dim=1).cpu().numpy()


def decode(trained: Fit, latents: np.ndarray, *, condition: Sequence[object] | None = None) -> dict[str, np.ndarray]:
    """What the model makes of latents, in the units of its training.

    Parameters
    ----------
    trained : Fit
    latents : array-like, shape (seeds, n, latent)
    condition : sequence, shape (n,), optional

    Returns
    -------
    dict of modality to array, shape (seeds, n, ...)
        Modalities with a cosine term come as directions of length 1.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import train
    >>> x = np.random.default_rng(0).normal(size=(40, 6))
    >>> fit = train.fit("vae", {"audio": x}, seeds=[0], epochs=1, latent_dim=2, hidden=[8], progress=False)
    >>> train.decode(fit, np.zeros((1, 5, 2)))["audio"].shape
    (1, 5, 6)
    """
    latents = torch.as_tensor(np.asarray(latents), dtype=torch.float32)
    seeds, latent_dim = len(trained.seeds), trained.model.latent_dim
    if latents.ndim != 3 or latents.shape[::2] != (seeds, latent_dim):
        raise ParameterError(
            f"latents must have shape ({seeds}, n, {latent_dim}), one space per seed, got {tuple(latents.shape)}"
        )
    device = _device_of(trained.model)
    context = inputs.context(condition, trained.categories, n=latents.shape[1])
    if context is not None:
        context = context.expand(len(latents), *context.shape).to(device)
    with torch.no_grad():
        means = trained.model.decode(latents.to(device), context=context)
    return {name: inputs.restore(mean.cpu().numpy(), trained.scaling.get(name)) for name, mean in means.items()}


def components(
    trained: Fit, arrays: Mapping[str, np.ndarray], *, condition: Sequence[object] | None = None
) -> np.ndarray:
    """Most probable component of the mixture prior for every track under every seed: the clusters of VaDE.

    Parameters
    ----------
    trained : Fit
        Of a recipe with a mixture prior.
    arrays, condition
        As in `embed`.

    Returns
    -------
    array of int, shape (seeds, n)
    """
    if trained.model.prior is None:
        raise ParameterError(f"trained must have a mixture prior, recipe {trained.recipe!r} has none")
    latents = torch.from_numpy(embed(trained, arrays, condition=condition)).to(_device_of(trained.model))
    with torch.no_grad():
        return elbo.responsibilities(latents, trained.model.prior()).argmax(dim=2).cpu().numpy()


def diagnose(
    trained: Fit, arrays: Mapping[str, np.ndarray], *, condition: Sequence[object] | None = None
) -> tuple[pd.DataFrame, np.ndarray]:
    """Say how well the model explains tracks and what its latents carry, without dropout.

    Parameters
    ----------
    trained : Fit
    arrays, condition
        As in `embed`.

    Returns
    -------
    table : pandas.DataFrame
        A row per seed: `seed`, `reconstruction` and `kl` (nats per track), `active_units`.
    divergence : array of float, shape (seeds, latent)
        KL divergence of each latent in nats, averaged over the tracks.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import train
    >>> x = np.random.default_rng(0).normal(size=(40, 6))
    >>> fit = train.fit("vae", {"audio": x}, seeds=[0, 1], epochs=1, latent_dim=2, hidden=[8], progress=False)
    >>> table, divergence = train.diagnose(fit, {"audio": x})
    >>> np.allclose(divergence.sum(axis=1), table["kl"])
    True
    """
    terms, divergences, means = [], [], []
    for batch in _batches(trained, arrays, condition):
        output = _sampled(trained.model, batch, trained.seeds)
        size = output.latent.shape[1]
        terms.append(torch.stack(_terms(trained.model, batch, output, beta=1.0)) * size)
        divergences.append(output.divergence.sum(dim=1))
        means.append(output.posterior.mean)
    means = torch.cat(means, dim=1)
    _, reconstruction, kl = (torch.stack(terms).sum(dim=0) / means.shape[1]).cpu().numpy()
    active = elbo.active_units(means).cpu().numpy()
    table = pd.DataFrame({"seed": trained.seeds, "reconstruction": reconstruction, "kl": kl, "active_units": active})
    return table, (torch.stack(divergences).sum(dim=0) / means.shape[1]).cpu().numpy()


def _batches(
    trained: Fit, arrays: Mapping[str, np.ndarray], condition: Sequence[object] | None, size: int = 512
) -> Iterator[Inputs]:
    """Give all tracks to all members, a batch at a time, in order."""
    arrays = inputs.check(arrays, shapes=trained.model.shapes)
    data = inputs.prepare(arrays, trained.scaling, condition=condition, categories=trained.categories)
    _check_complete(trained.model, data)
    data = data.to(_device_of(trained.model))
    for index in torch.arange(len(data)).split(size):
        yield data.rows(index.expand(len(trained.seeds), -1))


def _table(rows: Sequence[np.ndarray]) -> pd.DataFrame:
    """Lay out what was measured epoch by epoch as `Fit.history`."""
    names = ["epoch", "seed", *elbo.Terms._fields, "active_units", "validation_loss"]
    table = pd.DataFrame(np.concatenate([np.empty((0, len(names))), *rows]), columns=names)
    return table.astype({"epoch": int, "seed": int, "active_units": int})


def _encode(model: VAE, batch: Inputs) -> elbo.Gaussian:
    with torch.no_grad():
        return model.encode(batch.tensors, context=batch.context, present=batch.present)


def _sampled(model: VAE, batch: Inputs, seeds: Sequence[int]) -> Output:
    """Pass without dropout or input noise, but with a sample: the same one each time."""
    posterior = _encode(model, batch)
    noise = networks.normal(_generators(seeds, "validation"), *posterior.mean.shape[1:]).to(posterior.mean.device)
    latent = elbo.sample(posterior, noise)
    with torch.no_grad():
        return Output(
            posterior, latent, model.divergence(posterior, latent), model.decode(latent, context=batch.context)
        )


def _terms(model: VAE, batch: Inputs, output: Output, *, beta: float, free_bits: float = 0.0) -> elbo.Terms:
    return elbo.objective(
        output.reconstructions,
        batch.tensors,
        output.divergence,
        beta=beta,
        errors=model.errors,
        present=batch.present,
        free_bits=free_bits,
    )


def _start_from(
    autoencoder: Fit, arrays: Mapping[str, np.ndarray], condition: Sequence[object] | None, model: VAE
) -> None:
    """Take over an autoencoder's weights, and fit the components of the prior to its codes, seed by seed."""
    codes = embed(autoencoder, arrays, condition=condition)
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, weight in autoencoder.model.named_parameters():
            weights[name][..., : weight.shape[-1]] = weight  # a head that also gives variances keeps those as they are
        for member, seed in enumerate(autoencoder.seeds):
            mixture = GaussianMixture(
                model.prior.mean.shape[1],
                covariance_type="diag",
                random_state=seed,
                n_init=3,
                reg_covar=elbo.ACTIVE_VARIANCE,
            )
            with threadpool_limits(1):
                mixture.fit(codes[member])
            for target, values in (
                (model.prior.logits, np.log(mixture.weights_)),
                (model.prior.mean, mixture.means_),
                (model.prior.log_var, np.log(mixture.covariances_)),
            ):
                target[member] = torch.from_numpy(values)


def _check_complete(model: VAE, data: Inputs) -> None:
    if data.present and any(encoder.point for encoder in model.encoders.values()):
        raise ParameterError("arrays must be complete for an autoencoder: a point cannot say that it knows nothing")


def _check_needs(recipe: str, shapes: Mapping[str, tuple[int, ...]], categories: Sequence[str]) -> None:
    plan = RECIPES[recipe]
    if plan.conditional and len(categories) < 2:
        raise ParameterError(
            f"condition must give at least two different labels to recipe {recipe!r}, got {len(categories)}"
        )
    if not plan.conditional and categories:
        raise ParameterError(f"condition must be left out: recipe {recipe!r} is not conditional")
    if len(shapes) < plan.modalities:
        raise ParameterError(
            f"arrays must hold at least {plan.modalities} modalities for {recipe!r}, got {list(shapes)}"
        )
    if plan.image and not any(len(shape) == 2 for shape in shapes.values()):
        raise ParameterError(f"arrays must hold images of shape (n, height, width) for {recipe!r}, got none")


def _facts(trained: Fit, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, object]:
    facts = {
        "recipe": trained.recipe,
        "settings": trained.settings,
        "seeds": trained.seeds,
        "shapes": shapes,
        "categories": trained.categories,
    }
    return _as_read(facts)


def _difference(key: str, there: object, here: object) -> str:
    """Name what differs between two trainings, for a message."""
    if key == "settings" and there:
        there, here = ({**settings, **settings["architecture"]} for settings in (there, here))
        names = [name for name in {**there, **here} if name != "architecture" and there.get(name) != here.get(name)]
        return ", ".join(f"{name} is {there.get(name)} there and {here.get(name)} here" for name in names)
    return "its data differ" if key == "data" else f"its {key} differ, {there} there and {here} here"


def _as_read(facts: object) -> object:
    """Give what JSON makes of it, numbers of NumPy as plain ones: so it will be read again, and can be compared."""
    return json.loads(json.dumps(facts, default=lambda value: value.tolist(), allow_nan=False))


def _device(name: str) -> torch.device:
    checks.one_of(name, "device", ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise ParameterError("device must be 'cpu' or 'auto' here: there is no GPU that torch can use")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _device_of(model: VAE) -> torch.device:
    return next(model.parameters()).device


def _generators(seeds: Sequence[int], stream: str, epoch: int = 0) -> list[torch.Generator]:
    """One generator per seed. Each epoch has its own: nothing of them need be kept to resume."""
    entropy = [np.random.SeedSequence([seed, STREAMS.index(stream), epoch]) for seed in seeds]
    states = [sequence.generate_state(1, np.uint64)[0] for sequence in entropy]
    return [torch.Generator().manual_seed(int(state) >> 1) for state in states]
