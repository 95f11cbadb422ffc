"""Cluster GTZAN and Bangla with the deep clustering of ClustPy: ``make peers`` writes data/evidence/peers.npz.

DEC, IDEC, DCN and VaDE get the columns that the VAE of this study gets, and how many genres there are; the genres
themselves they do not see. What is kept are the clusters that ClustPy gives as its result, `labels_`: of k-means on the
trained embedding, for VaDE of a Gaussian mixture.
"""

import contextlib
import io
import itertools
import json
from importlib.metadata import version

import joblib
import numpy as np
import torch
from clustpy.deep import DCN, DEC, IDEC, VaDE, mean_squared_error
from clustpy.deep.neural_networks import FeedforwardAutoencoder
from clustpy.deep.vade import _VaDE_VAE
from tqdm import tqdm

from vae_lib import corpus, features, store

CORPORA = ("gtzan", "bangla")
SEEDS = range(10)
METHODS = {"dec": DEC, "idec": IDEC, "dcn": DCN, "vade": VaDE}
# Fixed before any of their clusters was compared with a genre, and all that was tried. What is not named is ClustPy's
# default: 100 epochs of pretraining, 150 of clustering, batches of 256, Adam at 1e-3 and then 1e-4, losses and weights.
SETTINGS = {
    "study": {"hidden": [256, 128], "embedding_size": 16},  # the sizes of the VAE
    "default": {"hidden": [500, 500, 2000], "embedding_size": 10},
}
# The large network takes many times as long: it was cut for time, after the small one had been scored.
TRIED = [*itertools.product(["study"], CORPORA, METHODS), ("default", "gtzan", "dec"), ("default", "gtzan", "idec")]
# The default loss of VaDE, cross-entropy, is for inputs from 0 to 1; it gets that of the others, of unbounded columns.
LOSS = {"vade": {"ssl_loss_fn": mean_squared_error}}

memory = joblib.Memory(store.ROOT / "_build" / "cache" / "peers", verbose=0)


@memory.cache
def train(method: str, setting: dict[str, object], x: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Train one seed on one thread and give its clusters; what is done is not done again after an interruption."""
    torch.set_num_threads(1)
    network = _VaDE_VAE if method == "vade" else FeedforwardAutoencoder
    size = setting["embedding_size"]
    model = METHODS[method](
        n_clusters=k,
        neural_network=(network, {"layers": [x.shape[1], *setting["hidden"], size]}),
        embedding_size=size,
        random_state=seed,
        device="cpu",
        **LOSS.get(method, {}),
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # of its progress
        return model.fit(x).labels_.astype(np.uint8)


def main() -> None:
    """Train all of them, seeds side by side, and write their clusters."""
    music = {name: corpus.load(name) for name in CORPORA}
    inputs = {name: (features.gaussianised(of), of.tracks["genre"].nunique()) for name, of in music.items()}
    wanted = [(*of, seed) for of in TRIED for seed in SEEDS]
    run = joblib.Parallel(-1, batch_size=1, return_as="generator")  # what the cache has would make batches long
    jobs = run(joblib.delayed(train)(of, SETTINGS[setting], *inputs[name], seed) for setting, name, of, seed in wanted)
    found = [*tqdm(jobs, "ClustPy", total=len(wanted), unit="seed")]
    clusters = {
        f"{name}/{method}_{setting}": np.array(found[at * len(SEEDS) : (at + 1) * len(SEEDS)])
        for at, (setting, name, method) in enumerate(TRIED)
    }
    about = {
        "clustpy": version("clustpy"),
        "torch": version("torch"),
        "settings": SETTINGS,
        "corpora": {name: of.hash for name, of in music.items()},
    }
    with store.replacing(store.ROOT / "data" / "evidence" / "peers.npz") as temporary:
        np.savez_compressed(temporary, about=json.dumps(about), **clusters)


if __name__ == "__main__":
    main()
