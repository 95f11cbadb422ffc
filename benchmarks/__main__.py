"""Ours against the usual way, measured in one run: ``python -m benchmarks [NAME ...]``.

Each module of this folder has a function ``rows(data_home)`` that returns a list of rows: ``name``, ``ours_s`` and
``usual_s`` (seconds per item, medians), ``ratio`` (usual / ours, the median over items measured in turn), ``peak_mib``
(largest additional memory of ours) and ``n`` (items). They are printed and written to ``_build/bench.json``. A module
may also have a function ``details(data_home)``: where our time goes, as a table of ``ms`` and ``share``, printed.
"""

import argparse
import importlib
import os
import pkgutil
from pathlib import Path

# Threads are fixed before numpy is loaded: it is the work that is compared, not how many cores it may take.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Run the benchmarks."""
    from vae_lib.store import write_json

    known = sorted(module.name for module in pkgutil.iter_modules([str(ROOT / "benchmarks")]) if module.name[0] != "_")
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones (default: all of {', '.join(known)})")
    parser.add_argument("--data-home", type=Path, default=os.environ.get("DATA_HOME") or None, help="folder of audio")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(known))
    if unknown:
        parser.error(f"unknown benchmark {unknown[0]!r}, known are {', '.join(known)}")

    collected = []
    print(f"{'':<46} {'ours':>10} {'usual':>10} {'ratio':>7} {'ours/s':>7} {'peak MiB':>9} {'n':>4}")
    for name in options.names or known:
        module = importlib.import_module(f"benchmarks.{name}")
        for row in module.rows(options.data_home):
            collected.append(row)
            peak = "" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}"
            print(
                f"{row['name']:<46} {1e3 * row['ours_s']:>7.1f} ms {1e3 * row['usual_s']:>7.1f} ms "
                f"{row['ratio']:>6.1f}× {1 / row['ours_s']:>7.1f} {peak:>9} {row['n']:>4}",
                flush=True,
            )
        if hasattr(module, "details"):
            print(f"\n{name}: where our time goes")
            for step, row in module.details(options.data_home).iterrows():
                print(f"  {step:<44} {row['ms']:>7.2f} ms {row['share']:>10.0%}")
            print()
    write_json(ROOT / "_build" / "bench.json", collected)
    print("written to _build/bench.json")


if __name__ == "__main__":
    main()
