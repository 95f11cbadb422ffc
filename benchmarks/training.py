"""Training: `train.fit` against the bare loop written by hand, and ten seeds side by side against ten in a row.

The bare loop trains the same network on batches of the same size with the same optimiser and keeps the same history,
all of it below. `train.fit` adds scaling, checks, named random streams and early stopping, and is to stay within 1.1
times its time (a ratio of at least 0.91); ten seeds on two cores are to take at most 0.6 times ten in a row (1.67).
What is compared runs in turn. One seed is measured by the time on the processor, so that whatever else the machine does
falls on both; seeds side by side by the clock, so that they need two cores that nothing else uses.
"""

import itertools
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from vae_lib import train

TRACKS, FEATURES, LATENT, HIDDEN, NOISE, LEARNING_RATE, DECAY, WARMUP = 1000, 53, 16, (256, 128), 0.5, 1e-3, 1e-2, 30
BATCHES, EPOCHS, SEEDS, ROUNDS = (32, 128), 10, 10, 7
LOSS_TOLERANCE = 0.5  # nats, of some 26 of an untrained network


def body(widths: list[int]) -> nn.Sequential:
    """Stack the hidden layers."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.LayerNorm(after), nn.ReLU()]
    return nn.Sequential(*layers)


def bare(x: np.ndarray, *, seed: int, batch_size: int, epochs: int) -> list[list[float]]:
    """Train one seed and give its history, with nothing between torch and the reader."""
    torch.manual_seed(seed)
    tracks = torch.from_numpy(x)
    encoder = nn.Sequential(body([FEATURES, *HIDDEN]), nn.Linear(HIDDEN[-1], 2 * LATENT))
    decoder = nn.Sequential(body([LATENT, *reversed(HIDDEN)]), nn.Linear(HIDDEN[0], FEATURES))
    variance = nn.Parameter(torch.zeros(FEATURES))
    weights = [*encoder.parameters(), *decoder.parameters()]
    groups = [{"params": weights}, {"params": [variance], "lr": 10 * LEARNING_RATE, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=LEARNING_RATE, weight_decay=DECAY, fused=True)
    history = []
    for epoch in range(1, epochs + 1):
        sums = torch.zeros(3)
        for batch in tracks[torch.randperm(len(tracks))].split(batch_size):
            mean, log_var = encoder(batch + NOISE * torch.randn_like(batch)).chunk(2, dim=1)
            made = decoder(mean + torch.exp(0.5 * log_var) * torch.randn_like(mean))
            error = 0.5 * ((made - batch).square() * torch.exp(-variance) + variance).sum(dim=1).mean()
            kl = 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var).sum(dim=1).mean()
            loss = error + min(1.0, epoch / WARMUP) * kl
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            sums += len(batch) * torch.stack([loss, error, kl]).detach()
        history.append((sums / len(tracks)).tolist())
    return history


def table() -> np.ndarray:
    """Tracks around ten centres, standardised."""
    rng = np.random.default_rng(0)
    x = 2.0 * rng.standard_normal((10, FEATURES))[np.arange(TRACKS) % 10] + rng.standard_normal((TRACKS, FEATURES))
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32)


def rows(data_home: object = None) -> list[dict[str, object]]:
    """Compare seconds per epoch, of one seed and of ten, and check that both ways arrive at the same loss."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [compare(table(), batch_size) for compare in (one_seed, many_seeds) for batch_size in BATCHES]
    finally:
        torch.set_num_threads(threads)


def one_seed(x: np.ndarray, batch_size: int) -> dict[str, object]:
    """Compare `train.fit` with the bare loop."""
    options = {"batch_size": batch_size, "epochs": EPOCHS}
    ours = [train.fit("vae", x, seed=seed, validation=0.0, **options).history["loss"].iloc[-1] for seed in range(3)]
    usual = [bare(x, seed=seed, **options)[-1][0] for seed in range(3)]
    losses = np.mean([ours, usual], axis=1)
    if abs(losses[0] - losses[1]) > LOSS_TOLERANCE:
        raise RuntimeError(f"the two ways train to different losses: {losses[0]:.3f} and {losses[1]:.3f}")
    return _row(
        f"training: an epoch of one seed, batches of {batch_size}",
        lambda: train.fit("vae", x, seed=0, validation=0.0, **options),
        lambda: bare(x, seed=0, **options),
        clock=time.process_time,
    )


def many_seeds(x: np.ndarray, batch_size: int) -> dict[str, object]:
    """Compare seeds in two processes with seeds in this one."""
    options = {"seeds": SEEDS, "epochs": EPOCHS, "batch_size": batch_size, "cache": False, "progress": False}
    return _row(
        f"training: {SEEDS} seeds side by side, batches of {batch_size}",
        lambda: train.fit_seeds("vae", x, workers=2, **options),
        lambda: train.fit_seeds("vae", x, workers=1, **options),
        clock=time.perf_counter,
    )


def _row(name: str, ours: Callable, usual: Callable, *, clock: Callable[[], float]) -> dict[str, object]:
    ours()  # imports and processes are started once
    times = []
    for _ in range(ROUNDS):
        started = clock()
        ours()
        between = clock()
        usual()
        times.append(((between - started) / EPOCHS, (clock() - between) / EPOCHS))
    return {
        "name": name,
        "ours_s": statistics.median(ours_s for ours_s, _ in times),
        "usual_s": statistics.median(usual_s for _, usual_s in times),
        "ratio": statistics.median(usual_s / ours_s for ours_s, usual_s in times),
        "peak_mib": None,
        "n": TRACKS,
    }
