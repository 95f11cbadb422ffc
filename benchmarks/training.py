"""Training: all seeds in one go against the usual way, one model after another over a DataLoader.

Both train the same architecture with the same objective and optimiser on the same data, from the first weight to the
last epoch, and both keep the same history: loss, reconstruction, KL divergence and active units of every epoch. They
train in turn, and what counts is the time on the processor, so that whatever else the machine does falls on both.
"""

import itertools
import statistics
import time

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from vae_lib import elbo, train

TRACKS, FEATURES, BATCH, SEEDS = 1000, 57, 32, 10
LATENT, HIDDEN, DROPOUT, LEARNING_RATE = 32, (256, 128, 64), 0.2, 1e-3
EPOCHS, ROUNDS = 10, 5
LOSS_TOLERANCE = 0.02


class UsualVAE(nn.Module):
    """The base VAE as tutorials write it: one model, torch's own layers."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _body([FEATURES, *HIDDEN])
        self.mean, self.log_var = nn.Linear(HIDDEN[-1], LATENT), nn.Linear(HIDDEN[-1], LATENT)
        self.decoder = nn.Sequential(_body([LATENT, *reversed(HIDDEN)]), nn.Linear(HIDDEN[0], FEATURES))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give the reconstruction, the posterior mean and its log-variance."""
        hidden = self.encoder(x)
        mean, log_var = self.mean(hidden), self.log_var(hidden)
        return self.decoder(mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)), mean, log_var


def _body(widths: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout(DROPOUT)]
    return nn.Sequential(*layers)


def usual(x: np.ndarray, *, seed: int, epochs: int) -> list[tuple[float, ...]]:
    """Train one seed the usual way and give its history."""
    torch.manual_seed(seed)
    everything = torch.from_numpy(x)
    few = everything[torch.linspace(0, len(x) - 1, train.MEASURED_TRACKS).long()]
    loader = DataLoader(TensorDataset(everything), batch_size=BATCH, shuffle=True)
    model = UsualVAE()
    optimiser = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    history = []
    for _ in range(epochs):
        sums = np.zeros(3)
        for (batch,) in loader:
            reconstruction, mean, log_var = model(batch)
            error = 0.5 * (reconstruction - batch).square().sum(1).mean()
            kl = 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var).sum(1).mean()
            loss = error + kl
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            sums += len(batch) * np.array([loss.item(), error.item(), kl.item()])
        model.eval()
        with torch.no_grad():
            active = (model.mean(model.encoder(few)).var(0) > elbo.ACTIVE_VARIANCE).sum().item()
        model.train()
        history.append((*sums / len(x), active))
    return history


def ours(x: np.ndarray, *, seeds: int, epochs: int) -> np.ndarray:
    """Train all seeds at once and give each one's loss at the end."""
    history = train.fit(
        "vae",
        {"audio": x},
        seeds=range(seeds),
        epochs=epochs,
        batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        validation=0.0,
        progress=False,
        latent_dim=LATENT,
        hidden=HIDDEN,
        dropout=DROPOUT,
    ).history
    return history[history["epoch"] == epochs]["loss"].to_numpy()


def table() -> np.ndarray:
    """Tracks around ten centres, standardised."""
    rng = np.random.default_rng(0)
    x = 2.0 * rng.standard_normal((10, FEATURES))[np.arange(TRACKS) % 10] + rng.standard_normal((TRACKS, FEATURES))
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32)


def rows(data_home: object = None) -> list[dict[str, object]]:
    """Compare seconds per epoch of ten seeds and of one, and check that both ways arrive at the same loss."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        x = table()
        return [_row(x, seeds=SEEDS), _row(x, seeds=1)]
    finally:
        torch.set_num_threads(threads)


def _row(x: np.ndarray, *, seeds: int) -> dict[str, object]:
    epochs = EPOCHS * SEEDS // seeds  # of one seed more, for a time that can be measured
    times: list[tuple[float, float]] = []
    ours(x, seeds=seeds, epochs=1)
    for _ in range(ROUNDS):
        started = time.process_time()
        losses = [usual(x, seed=seed, epochs=epochs)[-1][0] for seed in range(seeds)]
        between = time.process_time()
        same = ours(x, seeds=seeds, epochs=epochs)
        times.append(((time.process_time() - between) / epochs, (between - started) / epochs))
    if seeds == SEEDS and abs(same.mean() / np.mean(losses) - 1) > LOSS_TOLERANCE:
        raise RuntimeError(f"the two ways train to different losses: {same.mean():.3f} and {np.mean(losses):.3f}")
    return {
        "name": f"training: an epoch of {seeds} seed{'s' if seeds > 1 else ''}, {TRACKS} x {FEATURES}",
        "ours_s": statistics.median(ours_s for ours_s, _ in times),
        "usual_s": statistics.median(usual_s for _, usual_s in times),
        "ratio": statistics.median(usual_s / ours_s for ours_s, usual_s in times),
        "peak_mib": None,
        "n": TRACKS,
    }
