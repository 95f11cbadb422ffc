"""Training: all seeds of a recipe at once, repeatable, each seed independent of its company."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from vae_lib import checks, elbo, networks
from vae_lib.models import RECIPES, VAE

STREAMS = ("init", "batches", "noise")
"""What is random in training; each has a generator of its own, so that changing one leaves the others as they were."""


class DivergenceError(ArithmeticError):
    """The loss of a seed is no longer finite."""


class Fit(NamedTuple):
    """A trained ensemble.

    Attributes
    ----------
    model : VAE
        One member per seed, in the order of `seeds`.
    history : pandas.DataFrame
        One row per epoch and seed: `epoch` (from 1), `seed`, `loss`, `reconstruction` and `kl` (nats per track,
        averaged over the epoch's batches) and `active_units` at its end.
    seeds : tuple of int
    """

    model: VAE
    history: pd.DataFrame
    seeds: tuple[int, ...]


def fit(
    recipe: str,
    arrays: Mapping[str, np.ndarray],
    *,
    seeds: Sequence[int],
    epochs: int,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    beta: float | None = None,
    progress: bool = True,
    **architecture: object,
) -> Fit:
    """Train every seed of `recipe` in one go with Adam.

    A seed gets its own weights, batch order and noise, so that it comes out the same in any company (up to the
    rounding of batched products), and bitwise the same in the same company on one thread.

    Parameters
    ----------
    recipe : str
        A name in `models.RECIPES`.
    arrays : mapping of modality to array, shape (n, d)
        Rows aligned; standardise them first, the reconstruction term assumes unit variance.
    seeds : sequence of int
        Distinct, at least 0.
    epochs : int
        Passes over the corpus.
    batch_size : int
        Tracks per step; the last batch of an epoch holds what is left.
    learning_rate : float
        Step size of Adam.
    beta : float, optional
        Weight of the KL divergence, at least 0; the recipe's own by default.
    progress : bool
        Whether to show a progress line on standard error.
    **architecture
        Options of the recipe, such as `latent_dim`, `hidden` and `dropout`.

    Returns
    -------
    Fit

    Raises
    ------
    ParameterError
        If an argument is out of range, arrays are not aligned or not finite.
    DivergenceError
        If a loss becomes NaN or infinite; the message names the seed and the epoch.
    """
    plan = RECIPES[checks.one_of(recipe, "recipe", RECIPES)]
    beta = checks.in_range(plan.beta if beta is None else beta, "beta", low=0.0)
    checks.count(epochs, "epochs")
    checks.count(batch_size, "batch_size")
    checks.in_range(learning_rate, "learning_rate", low=0.0, open_low=True)
    seeds = tuple(checks.count(seed, "seeds", low=0) for seed in seeds)
    if not seeds or len(set(seeds)) < len(seeds):
        raise checks.ParameterError(f"seeds must be distinct and at least one, got {list(seeds)}")
    data = _tensors(arrays)
    n = len(next(iter(data.values())))

    streams = {stream: [_generator(seed, stream) for seed in seeds] for stream in STREAMS}
    model = plan.build({name: values.shape[1] for name, values in data.items()}, members=len(seeds), **architecture)
    networks.initialise(model, streams["init"])
    optimiser = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)

    history = []
    for epoch in tqdm(range(1, epochs + 1), desc=recipe, unit="epoch", leave=False, disable=not progress):
        order = torch.stack([torch.randperm(n, generator=generator) for generator in streams["batches"]])
        sums = torch.zeros(len(elbo.Terms._fields), len(seeds))
        for index in order.split(batch_size, dim=1):
            batch = {name: values[index] for name, values in data.items()}
            output = model(batch, streams["noise"])
            terms = elbo.objective(output.reconstructions, batch, output.posterior, beta=beta)
            optimiser.zero_grad()
            terms.loss.sum().backward()  # members share no weight, so the gradient of the sum is each one's own
            optimiser.step()
            sums += torch.stack(terms).detach() * index.shape[1]
        means = dict(zip(elbo.Terms._fields, (sums / n).numpy(), strict=True))
        diverged = ~np.isfinite(means["loss"])
        if diverged.any():
            raise DivergenceError(
                f"the loss of seed {seeds[diverged.argmax()]} is {means['loss'][diverged][0]} in epoch {epoch}: "
                f"lower learning_rate (now {learning_rate:g}) or check the scale of the input"
            )
        active = elbo.active_units(_posterior_means(model, data)).numpy()
        history.append(pd.DataFrame({"epoch": epoch, "seed": seeds, **means, "active_units": active}))
    return Fit(model, pd.concat(history, ignore_index=True), seeds)


def embed(trained: Fit, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Posterior means of every track under every seed, in the order of the rows given: never samples.

    Parameters
    ----------
    trained : Fit
    arrays : mapping of modality to array, shape (n, d)
        Prepared in the same way as for training.

    Returns
    -------
    array of float, shape (seeds, n, latent)
    """
    return _posterior_means(trained.model, _tensors(arrays)).numpy()


def _generator(seed: int, stream: str) -> torch.Generator:
    entropy = np.random.SeedSequence([seed, STREAMS.index(stream)]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(entropy) >> 1)


def _tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    if not arrays:
        raise checks.ParameterError("arrays must hold at least one modality, got none")
    rows = len(next(iter(arrays.values())))
    return {
        name: torch.from_numpy(checks.matrix(values, f"arrays[{name!r}]", rows=rows).astype(np.float32))
        for name, values in arrays.items()
    }


def _posterior_means(model: VAE, data: Mapping[str, Tensor]) -> Tensor:
    members = next(model.parameters()).shape[0]
    with torch.no_grad():
        return model.encode({name: values.expand(members, *values.shape) for name, values in data.items()}).mean
