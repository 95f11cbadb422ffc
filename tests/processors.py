"""The numbers under the kernels of other processors: ``make test-processors``.

Libraries choose their kernels by the processor, and the last digits of a float with them. Each combination below makes
this machine choose as another would. Under each, the notebooks of the small book are executed into a build of its own,
the tests that compare numbers are run, and the largest difference to the build of the usual kernels is printed.
``python tests/processors.py NAME …`` takes some of them.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import goldens
import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
DISPATCHED = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])  # what numpy uses beyond its baseline
COMBINATIONS = {
    "plain-torch": {"ATEN_CPU_CAPABILITY": "default"},
    "haswell": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "NPY_DISABLE_CPU_FEATURES": " ".join(name for name in DISPATCHED if name != "X86_V3"),
    },
    "compatible-mkl": {"MKL_CBWR": "COMPATIBLE", "OPENBLAS_CORETYPE": "Nehalem"},
    "prescott": {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "OPENBLAS_CORETYPE": "Prescott",
        "NPY_DISABLE_CPU_FEATURES": " ".join(DISPATCHED),
        "NUMBA_CPU_NAME": "generic",
    },
}
FINGERPRINT = """
import hashlib, sys, numba, numpy, scipy.linalg, threadpoolctl, torch
x = numpy.random.default_rng(0).normal(size=(200, 200))
t = torch.from_numpy(x).float()
digits = lambda *arrays: hashlib.sha256(b"".join(numpy.asarray(a).tobytes() for a in arrays)).hexdigest()[:6]
blas = {each.get("architecture") for each in threadpoolctl.threadpool_info() if each["internal_api"] == "openblas"}
numpy_has = numpy._core._multiarray_umath.__cpu_features__
print("torch", torch.backends.cpu.get_cpu_capability(), digits(t @ t.T, torch.layer_norm(t.exp(), (200,))),
      "| numpy", [name for name in sys.argv[1:] if numpy_has[name]], digits(numpy.exp(t), numpy.sin(x)),
      "| openblas", *sorted(map(str, blas)), digits(x @ x, scipy.linalg.eigh(x + x.T)[0]),
      "| numba", numba.config.CPU_NAME or "host")
"""


def call(*command: object, **changes: str) -> subprocess.CompletedProcess:
    """Run a command under a combination, with its output kept."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    command = [str(part) for part in command]
    return subprocess.run(command, cwd=ROOT, env=environment | changes, capture_output=True, text=True)


def fingerprint(changes: dict[str, str]) -> str:
    """Which kernels are at work, and the digits that they give."""
    done = call(sys.executable, "-c", FINGERPRINT, *DISPATCHED, **changes)
    return done.stdout.strip() if done.returncode == 0 else sys.exit(f"error: {changes}: {done.stderr}")


def build(name: str, changes: dict[str, str]) -> Path:
    """Execute the notebooks of the small book into a build of their own."""
    folder = ROOT / "_build" / f"smoke-{name}"
    profile = yaml.safe_load((ROOT / "book/params/smoke.yaml").read_text(encoding="utf-8"))
    text = yaml.safe_dump(profile | {"all": profile.get("all", {}) | {"profile": folder.name}})
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "profile.yaml").exists() or (folder / "profile.yaml").read_text(encoding="utf-8") != text:
        (folder / "profile.yaml").write_text(text, encoding="utf-8")
    targets = [f"_build/{folder.name}/executed/{path.name}" for path in goldens.SOURCES]
    make = ("make", "-o", ".venv/.ready", "-o", ".venv/.locked", "PROFILE=smoke", f"NAME={folder.name}")
    done = call(*make, *targets, **changes)
    if done.returncode:
        sys.exit(f"error: the notebooks do not run under {name}: {changes}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return folder


def tell(folder: Path) -> None:
    """Print the largest difference to the build of the usual kernels, per notebook."""
    for source in goldens.SOURCES:
        usual, other = (goldens.numbers(each, source.stem) for each in (goldens.SMOKE, folder))
        both = usual.index.intersection(other.index)
        away = goldens.distances(other.loc[both], usual.loc[both]).dropna()
        if len(both) < max(len(usual), len(other)):
            print(f"  {source.stem}: {len(usual)} numbers under the usual kernels, {len(other)} here")
        if len(away):
            at = away.idxmax()
            print(f"  {source.stem}: {other.at[at, 'value']:.4g} for {usual.at[at, 'value']:.4g}, {away.max():.0%} of")
            print(f"    what is allowed, for {at}; {(away > 0).sum()} of {len(away)} numbers differ")


def main(names: list[str]) -> int:
    """Try the combinations that are named, or all; return how many failed."""
    if unknown := set(names) - set(COMBINATIONS):
        sys.exit(f"error: no combination {', '.join(sorted(unknown))}; there are {', '.join(COMBINATIONS)}")
    usual = fingerprint({})
    print(f"usual kernels: {usual}", flush=True)
    failed, tried = [], 0
    for name in names or COMBINATIONS:
        changes = {key: value for key, value in COMBINATIONS[name].items() if value}
        kernels = fingerprint(changes)
        if kernels == usual:
            print(f"{name}: changes nothing on this processor and is left out", flush=True)
            continue
        tried += 1
        print(f"{name}: {kernels}", flush=True)
        folder = build(name, changes)
        tell(folder)
        pytest = (sys.executable, "-m", "pytest", "-q", "-n", os.cpu_count() or 1, "--dist", "loadfile")
        tests = ("tests/science", "tests/book/test_references.py", "tests/nbval")
        done = call(*pytest, "-m", "not slow and not music", "--nbval", f"--build={folder}", *tests, **changes)
        print(
            "  " + "\n  ".join(re.findall(r"^(?:FAILED|ERROR) .*|^.* in [\d.]+s.*$", done.stdout, flags=re.MULTILINE))
        )
        if done.returncode:
            failed.append(name)
            (folder / "pytest.log").write_text(done.stdout + done.stderr, encoding="utf-8")
            print(f"  failed; all of it: {(folder / 'pytest.log').relative_to(ROOT)}", flush=True)
    print(f"{tried - len(failed)} passed, {len(failed)} failed")
    return len(failed) if tried else sys.exit("error: nothing was compared: no combination changes anything here")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
