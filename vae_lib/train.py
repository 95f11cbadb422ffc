"""Training: one seed in a plain loop, many seeds side by side in processes; what is trained can be kept and used."""

import copy
import functools
import hashlib
import inspect
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import safetensors
import safetensors.torch
import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from vae_lib import checks, models, parallel, store
from vae_lib.checks import ParameterError
from vae_lib.models import RECIPES, VAE, elbo, inputs
from vae_lib.models.inputs import Inputs, Scaling

Arrays = np.ndarray | Mapping[str, np.ndarray]

STREAMS = ("init", "batches", "noise", "held_out", "validation", "bound")
"""What is random; each has a stream of its own, so that changing one leaves the others as they were."""

CACHE = store.ROOT / "_build" / "cache" / "fits"
"""Where `fit_seeds` keeps what it has trained."""

LOCK = threading.RLock()
"""Torch has one generator and one number of threads for the whole process."""

ARCHITECTURE = {
    name: option.default
    for name, option in inspect.signature(models.compose).parameters.items()
    if option.default is not option.empty and name != "categories"
}
"""Options of `models.compose` as they are unless a recipe or a call says otherwise."""

BATCH = 512
"""Tracks that a trained model is given at a time."""

REMEDY = "lower learning_rate or check the scale of the input"


class DivergenceError(ArithmeticError):
    """A training whose numbers are no longer finite."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Fit:
    """A trained model, with all that is needed to use it on other songs."""

    recipe: str
    seed: int
    settings: dict[str, object]
    """What it was trained with; options of the architecture are ``settings["architecture"]``."""
    model: VAE = field(repr=False)
    """On the CPU, in evaluation mode."""
    history: pd.DataFrame = field(repr=False)
    """One row per epoch with `epoch` (from 1), `seed`, `loss`, `reconstruction` and `kl` (nats per track, averaged over
    the epoch's batches), and `validation_loss`, the loss of the held-out tracks with the full weight of the KL
    divergence, the negative ELBO for β = 1; NaN if none are held out."""
    latents: np.ndarray = field(repr=False)
    """Posterior means of the tracks it was trained on, the held-out ones among them, shape (n, latent)."""
    held_out: np.ndarray = field(repr=False)
    """Rows of these."""
    shapes: dict[str, tuple[int, ...]]
    scaling: dict[str, Scaling] = field(repr=False)
    categories: tuple[str, ...]
    """The labels that a conditional model is told; empty for others."""
    data: str = field(repr=False)
    """Hash of the arrays and labels it was trained on."""
    seconds: float
    """What the training took."""


class Fits(Sequence[Fit]):
    """One recipe trained from several seeds: a sequence of `Fit`, in the order of the seeds.

    Beside `recipe`, `settings` and `seeds` it has their `latents`, shape (seeds, n, latent), the `history` of them all,
    and the `seconds` that they took one after the other.
    """

    def __init__(self, fits: Sequence[Fit]) -> None:
        self._fits = tuple(fits)
        self.recipe, self.settings = self._fits[0].recipe, self._fits[0].settings
        self.seeds = tuple(fit.seed for fit in fits)
        self.latents = np.stack([fit.latents for fit in fits])
        self.history = pd.concat([fit.history for fit in fits], ignore_index=True)
        self.seconds = sum(fit.seconds for fit in fits)

    def __getitem__(self, place: int | slice) -> "Fit | Fits":
        """Fit at a place (not: of a seed), or those of a slice."""
        return Fits(self._fits[place]) if isinstance(place, slice) else self._fits[place]

    def __len__(self) -> int:
        """Number of seeds."""
        return len(self._fits)


def fit(
    recipe: str,
    arrays: Arrays,
    *,
    seed: int,
    epochs: int = 100,
    condition: Sequence[object] | None = None,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    weight_decay: float = 1e-2,
    beta: float | None = None,
    warmup: int = 30,
    free_bits: float = 0.0,
    validation: float = 0.1,
    patience: int | None = None,
    pretrain_epochs: int = 50,
    device: str = "auto",
    progress: bool = False,
    **architecture: object,
) -> Fit:
    """Train one seed of `recipe`, on one thread: bitwise the same whenever and beside whatever it runs.

    Layers draw from torch's own generator, which is put back afterwards; several in threads wait for each other.

    Parameters
    ----------
    recipe : str
        A name in `models.RECIPES`.
    arrays : array or mapping of modality to array, shape (n, d) or (n, height, width)
        Rows aligned; a row of NaN is a missing one; a single array is the modality "audio". Modalities with a Gaussian
        term are standardised here, per column or per band, over all tracks given; those with a cosine term are divided
        by their length.
    seed : int
        At least 0. Weights, batches, noise and held-out tracks follow from it.
    epochs : int
        Passes over the corpus, at most; 0 gives the network as it starts.
    condition : sequence, shape (n,), optional
        The label that a conditional recipe is told, such as the language.
    batch_size : int
        Tracks per step; the last batch of an epoch holds what is left.
    learning_rate, weight_decay : float
        Of AdamW (Loshchilov & Hutter 2019); without decay that is Adam.
    beta : float, optional
        Weight of the KL divergence, 0 to a million; the recipe's own by default.
    warmup : int
        Epochs over which that weight rises from 0, in equal steps.
    free_bits : float
        Nats per latent that are free of it, 0 to a million.
    validation : float
        Share of the tracks held out, from 0 to 0.5: they give the validation loss.
    patience : int, optional
        Stop when the validation loss has not improved for so many epochs, and keep the best epoch's weights.
    pretrain_epochs : int
        For a mixture prior: epochs of the autoencoder it starts from.
    device : {"auto", "cpu", "cuda"}
        "auto" takes the GPU if there is one.
    progress : bool
        Whether to show a progress line on standard error.
    **architecture
        Options of `models.compose`, such as `latent_dim`, `hidden` and `dropout`.

    Raises
    ------
    ParameterError
        If an argument is out of range, arrays are not aligned or not finite, or the recipe needs what is not there.
    DivergenceError
        If a loss becomes NaN or infinite; the message names the seed and the epoch.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import train
    >>> x = np.random.default_rng(0).normal(size=(40, 6))
    >>> fit = train.fit("vae", x, seed=0, epochs=3, latent_dim=2, hidden=[8])
    >>> fit.history.columns.tolist()
    ['epoch', 'seed', 'loss', 'reconstruction', 'kl', 'validation_loss']
    >>> train.embed(fit, x).shape
    (40, 2)
    """
    started = time.perf_counter()
    plan = RECIPES[checks.one_of(recipe, "recipe", RECIPES)]
    settings = {
        "epochs": checks.count(epochs, "epochs", low=0),
        "batch_size": checks.count(batch_size, "batch_size"),
        "learning_rate": checks.in_range(learning_rate, "learning_rate", low=0.0, open_low=True),
        "weight_decay": checks.in_range(weight_decay, "weight_decay", low=0.0),
        "beta": checks.in_range(plan.beta if beta is None else beta, "beta", low=0.0, high=1e6),
        "warmup": checks.count(warmup, "warmup", low=0),
        "free_bits": checks.in_range(free_bits, "free_bits", low=0.0, high=1e6),
        "validation": checks.in_range(validation, "validation", low=0.0, high=0.5),
        "patience": None if patience is None else checks.count(patience, "patience"),
        "pretrain_epochs": checks.count(pretrain_epochs, "pretrain_epochs"),
        "architecture": {**ARCHITECTURE, **plan.defaults, **architecture},
    }
    seed, place = checks.count(seed, "seed", low=0), _device(device)
    if patience is not None and not validation:
        raise ParameterError("validation must be above 0 where patience is given: held-out tracks decide when to stop")
    tables, labels = inputs.check(arrays), inputs.labels(condition)
    shapes, categories = {name: table.shape[1:] for name, table in tables.items()}, tuple(sorted(set(labels)))
    _check_needs(recipe, shapes, categories)

    with _one_thread():
        with _drawing(seed, "init", place):
            model = models.compose(shapes, categories=len(categories), **settings["architecture"])
        scaling = inputs.scalings(tables, model.errors)
        n = len(next(iter(tables.values())))
        data = inputs.prepare(tables, scaling, inputs.indicators(labels, categories, n=n))
        _check_complete(model, data)
        order = torch.randperm(n, generator=_generator(seed, "held_out"))
        held_out = order[: max(round(validation * n), 1) if validation else 0]
        if len(held_out) == n:
            raise ParameterError(f"arrays must have more than one track where some are held out, got {n}")
        if model.prior is not None:
            shared = {key: settings[key] for key in ("batch_size", "learning_rate", "weight_decay", "validation")}
            shared |= {"seed": seed, "condition": condition, "device": device, "progress": progress}
            _start_from(fit("ae", tables, epochs=pretrain_epochs, **shared, **architecture | {"components": 0}), model)
        seen, unseen = (data.rows(rows).to(place) for rows in (order[len(held_out) :], held_out))
        with _drawing(seed, "noise", place):
            history = _loop(model.to(place), seen, unseen, seed, settings, title=recipe if progress else "")
        latents = _means(model.cpu(), data)
    if not np.isfinite(latents).all():
        raise DivergenceError(f"the latents of seed {seed} are not finite after epoch {len(history)}: {REMEDY}")
    return Fit(
        recipe=recipe,
        seed=seed,
        settings=json.loads(_json(settings)),
        model=model.requires_grad_(False),
        history=_table(history),
        latents=latents,
        held_out=np.sort(held_out.numpy()),
        shapes=shapes,
        scaling=scaling,
        categories=categories,
        data=_hash(tables, labels),
        seconds=time.perf_counter() - started,
    )


def _loop(
    model: VAE, seen: Inputs, unseen: Inputs, seed: int, settings: Mapping[str, object], *, title: str
) -> list[list[float]]:
    """Train on the tracks that are seen, watch the loss of those that are not, and give the history."""
    rate, decay, patience = settings["learning_rate"], settings["weight_decay"], settings["patience"]
    variances = [decoder.log_var for decoder in model.decoders.values() if decoder.log_var is not None]
    weights = [weight for weight in model.parameters() if all(weight is not variance for variance in variances)]
    # A variance has further to go than a weight: at the rate of weights it would lag behind the errors.
    groups = [{"params": weights, "weight_decay": decay}, {"params": variances, "lr": 10 * rate, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=rate, fused=True)
    batches = _generator(seed, "batches")
    noise = torch.randn(len(unseen), model.latent_dim, generator=_generator(seed, "validation"))
    device = next(model.parameters()).device
    history, best, best_loss, best_epoch = [], None, math.inf, 0
    for epoch in tqdm(range(1, settings["epochs"] + 1), title, unit="epoch", leave=False, disable=not title):
        beta = settings["beta"] * min(1.0, epoch / max(settings["warmup"], 1))
        sums = torch.zeros(3, device=device)
        model.train()
        shuffled = seen.rows(torch.randperm(len(seen), generator=batches))
        for batch in shuffled.batches(settings["batch_size"]):
            terms = _loss(model, batch, beta=beta, free_bits=settings["free_bits"])
            optimiser.zero_grad()
            terms.loss.backward()
            optimiser.step()
            sums += len(batch) * torch.stack(terms).detach()
        means = (sums / len(seen)).tolist()
        if not math.isfinite(means[0]):
            raise DivergenceError(f"the loss of seed {seed} is {means[0]} in epoch {epoch}: {REMEDY}")
        model.eval()
        loss = math.nan
        if len(unseen):
            with torch.no_grad():
                loss = _loss(model, unseen, beta=settings["beta"], noise=noise.to(device)).loss.item()
        history.append([epoch, seed, *means, loss])
        if patience:
            # While the weight of the divergence still rises, the last epoch is the one to keep.
            if loss < best_loss or epoch <= max(settings["warmup"], 1):
                best, best_epoch = copy.deepcopy(model.state_dict()), epoch
                best_loss = loss if math.isfinite(loss) else math.inf
            if epoch - best_epoch == patience:
                break
    if best is not None:
        model.load_state_dict(best)
    model.eval()
    return history


def _loss(
    model: VAE, batch: Inputs, *, beta: float, free_bits: float = 0.0, noise: torch.Tensor | None = None
) -> elbo.Terms:
    output = model(batch, noise)
    error = model.error(output.reconstructions, batch)
    return elbo.objective(error, output.divergence, beta=beta, free_bits=free_bits)


def _start_from(autoencoder: Fit, model: VAE) -> None:
    """Take over an autoencoder's weights, and fit the components of the prior to its codes."""
    from sklearn.mixture import GaussianMixture

    options = {"covariance_type": "diag", "n_init": 3, "reg_covar": elbo.ACTIVE_VARIANCE}
    mixture = GaussianMixture(len(model.prior.mean), random_state=autoencoder.seed, **options)
    with threadpool_limits(1):
        mixture.fit(autoencoder.latents)
    values = {"logits": np.log(mixture.weights_), "mean": mixture.means_, "log_var": np.log(mixture.covariances_)}
    weights = dict(model.named_parameters())
    with torch.no_grad():
        for name, weight in autoencoder.model.named_parameters():
            weights[name][: len(weight)] = weight  # a head that also gives variances keeps those as they are
        for name, value in values.items():
            weights[f"prior.{name}"].copy_(torch.from_numpy(value))


def fit_seeds(
    recipe: str,
    arrays: Arrays,
    *,
    seeds: int | Sequence[int],
    workers: int | None = None,
    cache: bool | Path | str = True,
    progress: bool = True,
    **options: object,
) -> Fits:
    """Train several seeds of `recipe` side by side, each in a process of its own, as `fit` does one.

    A seed is kept as soon as it is trained, so that an interrupted run goes on with the next one, and the same recipe,
    settings and data are trained only once.

    Parameters and errors are those of `fit`, and besides:

    Parameters
    ----------
    seeds : int or sequence of int
        A number n stands for 0 … n − 1.
    workers : int, optional
        Processes; by default as many as there are cores (``LOKY_MAX_CPU_COUNT`` sets a limit). A single one is this.
    cache : bool or path
        Whether to keep the fits, and where: by default in `CACHE`.

    Examples
    --------
    >>> import numpy as np
    >>> from vae_lib import train
    >>> x = np.random.default_rng(0).normal(size=(40, 6))
    >>> small = {"epochs": 3, "latent_dim": 2, "hidden": [8], "workers": 1, "cache": False, "progress": False}
    >>> fits = train.fit_seeds("vae", x, seeds=3, **small)
    >>> fits.seeds, fits.latents.shape
    ((0, 1, 2), (3, 40, 2))
    """
    seeds = checks.seeds(seeds)
    if len(set(seeds)) < len(seeds):
        raise ParameterError(f"seeds must be distinct, got {seeds}")
    data = _hash(inputs.check(arrays), inputs.labels(options.get("condition")))
    settings = _json({name: value for name, value in options.items() if name != "condition"})
    device = str(_device(options.get("device", "auto")))
    folder = Path(CACHE if cache is True else cache or "")
    paths = {
        seed: folder / f"{store.content_hash(_source(), torch.__version__, device, recipe, settings, data, seed)[:32]}"
        for seed in seeds
    }
    done = {seed: kept for seed, path in paths.items() if cache and (kept := _kept(path)) is not None}
    left = [seed for seed in seeds if seed not in done]
    jobs = [((recipe, arrays), options | {"seed": seed}) for seed in left]
    made = parallel.run(fit, jobs, workers=workers, ordered=False)
    about = {"unit": "seed", "total": len(seeds), "initial": len(done), "leave": False, "disable": not progress}
    for trained in tqdm(made, recipe, **about):
        done[trained.seed] = trained
        if cache:
            save(trained, paths[trained.seed])
    return Fits([done[seed] for seed in seeds])


def _kept(path: Path) -> Fit | None:
    """Load a fit from the cache; one that is not there, or damaged, is trained anew."""
    try:
        return load(path)
    except ParameterError:
        return None


@functools.cache
def _source() -> str:
    """Hash of the code that a fit depends on."""
    files = [Path(__file__), *sorted(Path(models.__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def save(fit: Fit, path: Path | str) -> None:
    """Write a trained model to one file, whole or not at all: tensors as safetensors, with JSON in their header."""
    tensors = fit.model.state_dict() | {"latents": torch.from_numpy(fit.latents)}
    facts = ("recipe", "seed", "settings", "shapes", "categories", "data", "seconds", "scaling", "held_out")
    header = _json({name: getattr(fit, name) for name in facts} | {"history": fit.history.to_numpy()})
    with store.replacing(path) as temporary:
        content = safetensors.torch.save(tensors, {"fit": header, "sha256": _hash(tensors, header)})
        temporary.write_bytes(content)


def load(path: Path | str) -> Fit:
    """Load what `save` wrote: it embeds bitwise as it did when it was trained.

    Raises
    ------
    ParameterError
        If there is no such file or it is damaged.
    """
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        damaged = header["sha256"] != _hash(tensors, header["fit"])
    except OSError as error:
        raise ParameterError(f"cannot read {path}: {error.strerror or error}") from None
    except (safetensors.SafetensorError, KeyError, TypeError) as error:
        raise ParameterError(f"{path} is damaged or no trained model ({error}); train anew") from None
    if damaged:
        raise ParameterError(f"{path} is damaged: its content does not match its checksum; train anew")
    facts = json.loads(header["fit"])
    facts["shapes"] = {name: tuple(shape) for name, shape in facts["shapes"].items()}
    facts["categories"] = tuple(facts["categories"])
    facts["scaling"] = {name: Scaling(*map(np.array, parts)) for name, parts in facts["scaling"].items()}
    facts |= {"held_out": np.array(facts["held_out"], dtype=int), "history": _table(facts["history"])}
    with torch.device("meta"):  # nothing is drawn for weights that are replaced
        options = facts["settings"]["architecture"]
        model = models.compose(facts["shapes"], categories=len(facts["categories"]), **options)
    latents = tensors.pop("latents").numpy()
    model.load_state_dict(tensors, assign=True)
    return Fit(model=model.requires_grad_(False).eval(), latents=latents, **facts)


def _per_fit(function: Callable) -> Callable:
    """Let a function of a `Fit` take `Fits` as well and stack what it gives; on one thread, without gradients."""

    @functools.wraps(function)
    def apply(trained: Fit | Fits, *arguments: object, **options: object) -> object:
        with _one_thread(), torch.no_grad():
            if isinstance(trained, Fit):
                return function(trained, *arguments, **options)
            return np.stack([function(fit, *arguments, **options) for fit in trained])

    return apply


@_per_fit
def embed(trained: Fit | Fits, arrays: Arrays, *, condition: Sequence[object] | None = None) -> np.ndarray:
    """Posterior means of every track, in the order of the rows given: never samples.

    Parameters
    ----------
    trained : Fit or Fits
    arrays : array or mapping of modality to array
        In the units of the training; they may be other songs.
    condition : sequence, shape (n,), optional
        The label of each track, for a conditional recipe.

    Returns
    -------
    array of float, shape (n, latent), or (seeds, n, latent) for several fits
    """
    return _means(trained.model, _data(trained, arrays, condition))


def decode(
    trained: Fit | Fits, latents: np.ndarray, *, condition: Sequence[object] | None = None
) -> dict[str, np.ndarray]:
    """What the model makes of latents, in the units of its training.

    Takes latents of shape (n, latent) and gives every modality as an array of shape (n, ...); of several fits both have
    seeds as their first dimension. Modalities with a cosine term come as directions of length 1.
    """
    latents, like = inputs.numbers(latents, "latents").astype(np.float32), trained.latents.shape
    if latents.ndim != len(like) or latents.shape[:-2] != like[:-2] or latents.shape[-1] != like[-1]:
        wanted = ", ".join(map(str, (*like[:-2], "n", like[-1])))
        raise ParameterError(f"latents must have shape ({wanted}), got {latents.shape}")
    if isinstance(trained, Fits):
        made = [decode(fit, space, condition=condition) for fit, space in zip(trained, latents, strict=True)]
        return {name: np.stack([each[name] for each in made]) for name in made[0]}
    largest = np.abs(checks.matrix(latents, "latents")).max()
    checks.in_range(largest, "the largest of latents", low=0.0, high=inputs.FARTHEST)
    context = inputs.indicators(inputs.labels(condition), trained.categories, n=len(latents))
    with _one_thread(), torch.no_grad():
        made = trained.model.decode(torch.from_numpy(latents), context)
    return {name: inputs.restore(out.mean.numpy(), trained.scaling.get(name)) for name, out in made.items()}


@_per_fit
def components(trained: Fit | Fits, arrays: Arrays, *, condition: Sequence[object] | None = None) -> np.ndarray:
    """Most probable component of the mixture prior for every track: the clusters of VaDE.

    Parameters are those of `embed`; gives an array of int, shape (n,), or (seeds, n) for several fits.
    """
    if trained.model.prior is None:
        raise ParameterError(f"trained must have a mixture prior, recipe {trained.recipe!r} has none")
    latents = torch.from_numpy(_means(trained.model, _data(trained, arrays, condition)))
    return elbo.responsibilities(latents, trained.model.prior()).argmax(dim=1).numpy()


def diagnose(
    trained: Fit | Fits, arrays: Arrays, *, condition: Sequence[object] | None = None
) -> tuple[pd.DataFrame, np.ndarray]:
    """Say how well the model explains tracks and what its latents carry, without dropout.

    Parameters are those of `embed`.

    Returns
    -------
    table : pandas.DataFrame
        A row per seed: `seed`, `reconstruction` and `kl` (nats per track), `active_units`.
    divergence : array of float, shape (latent,), or (seeds, latent) for several fits
        KL divergence of each latent in nats, averaged over the tracks.
    """
    if isinstance(trained, Fits):
        tables, divergences = zip(*(diagnose(fit, arrays, condition=condition) for fit in trained), strict=True)
        return pd.concat(tables, ignore_index=True), np.stack(divergences)
    model, data, parts = trained.model, _data(trained, arrays, condition), []
    noise = torch.randn(len(data), model.latent_dim, generator=_generator(trained.seed, "validation"))
    with _one_thread(), torch.no_grad():
        for batch, draws in zip(data.batches(BATCH), noise.split(BATCH), strict=True):
            output = model(batch, draws)
            parts.append((model.error(output.reconstructions, batch), output.divergence, output.posterior.mean))
    error, divergence, mean = (torch.cat(part) for part in zip(*parts, strict=True))
    divergence = divergence.mean(dim=0).numpy()
    facts = {"seed": trained.seed, "reconstruction": error.mean().item(), "kl": float(divergence.sum())}
    return pd.DataFrame([facts | {"active_units": elbo.active_units(mean)}]), divergence


@_per_fit
def bound(
    trained: Fit | Fits,
    arrays: Arrays,
    *,
    condition: Sequence[object] | None = None,
    samples: int = 50,
    variance: str = "own",
) -> float | np.ndarray:
    """Importance-weighted bound on the log-likelihood of tracks that were not trained on (Burda et al. 2016).

    Parameters
    ----------
    trained : Fit or Fits
    arrays, condition
        As in `embed`. Of those that it was trained on, only the held-out tracks count; of others, all.
    samples : int
        Per track; the more, the nearer to the log-likelihood.
    variance : {"own", "fitted"}
        "fitted" gives the decoders, per column or band, the variance of their errors on the tracks that were trained
        on, so that those of unit variance can be compared with others; `arrays` must then be those of the training.

    Returns
    -------
    float, or array of shape (seeds,) for several fits
        Nats per track of scaled values, without the constant of the reconstruction term: the higher, the better.
    """
    checks.one_of(variance, "variance", ("own", "fitted"))
    checks.count(samples, "samples")
    model, data, bounds = trained.model, _data(trained, arrays, condition), []
    if model.point:
        raise ParameterError("trained must have a posterior with a variance: an autoencoder has no likelihood")
    same = _hash(inputs.check(arrays), inputs.labels(condition)) == trained.data
    if same and not len(trained.held_out):
        raise ParameterError("arrays must be other tracks than those of the training: none of them was held out")
    generator = _generator(trained.seed, "bound")
    if variance == "fitted":
        if not same:
            raise ParameterError("arrays must be those of the training where the variance is fitted")
        seen = np.setdiff1d(np.arange(len(data)), trained.held_out)
        model = _fitted(model, data.rows(torch.from_numpy(seen)), generator)
    prior = model.prior and model.prior()
    for batch in (data.rows(torch.from_numpy(trained.held_out)) if same else data).batches(BATCH):
        posterior, weights = model.encode(batch), []
        for _ in range(samples):
            latent = elbo.reparameterize(posterior, torch.randn(posterior.mean.shape, generator=generator))
            error = model.error(model.decode(latent, batch.context), batch)
            weights.append(elbo.log_ratio(posterior, latent, prior) - error)
        bounds.append(torch.logsumexp(torch.stack(weights), dim=0) - math.log(samples))
    return torch.cat(bounds).mean().item()


def _fitted(model: VAE, tracks: Inputs, generator: torch.Generator) -> VAE:
    """Give a copy of the model whose decoders have the variance of their errors on `tracks`."""
    model = copy.deepcopy(model)
    made = model(tracks, torch.randn(len(tracks), model.latent_dim, generator=generator)).reconstructions
    for name, target in tracks.tensors.items():
        if model.errors[name] == "gaussian":
            there = tracks.present[name] > 0 if tracks.present else slice(None)
            errors = (made[name].mean - target)[there].square().mean(dim=0)
            errors = errors.mean(dim=1, keepdim=True) if errors.ndim == 2 else errors
            model.decoders[name].log_var = torch.nn.Parameter(errors.clamp_min(1e-6).log())
    return model


def _data(trained: Fit, arrays: Arrays, condition: Sequence[object] | None) -> Inputs:
    tables = inputs.check(arrays, shapes=trained.shapes)
    n = len(next(iter(tables.values())))
    context = inputs.indicators(inputs.labels(condition), trained.categories, n=n)
    data = inputs.prepare(tables, trained.scaling, context)
    _check_complete(trained.model, data)
    return data


def _means(model: VAE, data: Inputs) -> np.ndarray:
    with torch.no_grad():
        return torch.cat([model.encode(batch).mean for batch in data.batches(BATCH)]).numpy()


def _check_complete(model: VAE, data: Inputs) -> None:
    if data.present and model.point:
        raise ParameterError("arrays must be complete for an autoencoder: a point cannot say that it knows nothing")


def _check_needs(recipe: str, shapes: Mapping[str, tuple[int, ...]], categories: Sequence[str]) -> None:
    plan = RECIPES[recipe]
    if plan.conditional and len(categories) < 2:
        raise ParameterError(f"condition must give at least two labels to recipe {recipe!r}, got {len(categories)}")
    if not plan.conditional and categories:
        raise ParameterError(f"condition must be left out: recipe {recipe!r} is not conditional")
    if len(shapes) < plan.modalities:
        raise ParameterError(f"arrays must hold {plan.modalities} modalities for {recipe!r}, got {list(shapes)}")
    if plan.image and not any(len(shape) == 2 for shape in shapes.values()):
        raise ParameterError(f"arrays must hold images of shape (n, height, width) for {recipe!r}, got none")


def _table(history: Sequence[Sequence[float]] | np.ndarray) -> pd.DataFrame:
    names = ["epoch", "seed", *elbo.Terms._fields, "validation_loss"]
    return pd.DataFrame(np.reshape(history, (-1, len(names))), columns=names).astype({"epoch": int, "seed": int})


def _hash(arrays: Mapping[str, np.ndarray | torch.Tensor], facts: object) -> str:
    return store.content_hash(facts, *(part for name in sorted(arrays) for part in (name, np.asarray(arrays[name]))))


def _json(value: object) -> str:
    """Give the same text for a number of NumPy as for a plain one."""
    plain = lambda part: part.tolist() if hasattr(part, "tolist") else repr(part)  # noqa: E731
    return json.dumps(value, sort_keys=True, default=plain)


def _device(name: str) -> torch.device:
    checks.one_of(name, "device", ("auto", "cpu", "cuda"))
    if name == "cuda" and not torch.cuda.is_available():
        raise ParameterError("device must be 'cpu' or 'auto' here: there is no GPU that torch can use")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: how sums are split between several decides their last digits."""
    with LOCK:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _generator(seed: int, stream: str) -> torch.Generator:
    state = np.random.SeedSequence([seed, STREAMS.index(stream)]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


@contextmanager
def _drawing(seed: int, stream: str, device: torch.device) -> Iterator[None]:
    """Let layers draw from a stream of the seed; torch's own generators, which they use, are put back afterwards."""
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device.type == "cuda" else []):
        torch.manual_seed(_generator(seed, stream).initial_seed())
        yield
