"""Ours beside PyTorch eager, torch.compile and JAX, in one run on this machine.

    python bench/run.py                       every row
    python bench/run.py --rows chain,softmax --rounds 3

Each library runs in a process of its own, row by row in turn, so that a noisy moment hits all of them; a row's figure is the median of
its rounds' medians.  `first` is the first call: what one waits for before the first result (with an empty disk cache for ours); `MB` the
peak resident memory of the process.
The rows are written once, in workloads.py (PyTorch's API), and the same work for JAX in peers.py and networks_jax.py.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
FOUNDATION = ["smallops", "chain", "softmax", "layernorm_bwd", "reduce_axis0", "gemm512", "gemm2048", "mlp_tiny", "mlp_large"]
NETWORKS = ["conv3x3", "lenet", "resnet18_train", "resnet18_infer", "char_lstm", "rnn_cell_loop", "gpt_train", "gpt_infer", "double_backward",
            "adam_many"]
ROWS = FOUNDATION + NETWORKS
LIBRARIES = ("ours", "eager", "compile", "jax")


def program(library, row):
    """The script that runs this library's version of a row, with its options."""
    if library == "jax":
        return ["networks_jax.py"] if row in NETWORKS else ["peers.py", "--lib", "jax"]
    return ["workloads.py", "--lib", "rushlight" if library == "ours" else "torch", "--mode", "compile" if library == "compile" else "eager"]


def measure(library, row, seconds):
    """One library's result for one row: {median_us, first_s, rss_mb} or {error}."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        environment = dict(os.environ, JAX_PLATFORMS="cpu")
        if library == "ours":  # cold: the first call compiles
            environment["RUSHLIGHT_CACHE_DIR"] = folder
        script, *options = program(library, row)
        command = [sys.executable, str(HERE / script), *options, "--only", row, "--seconds", str(seconds), "--json", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if not out.exists():
            return {"error": (done.stderr or done.stdout).strip().splitlines()[-1][:80] if done.stderr or done.stdout else "died"}
        result = json.loads(out.read_text())
        result = result.get("workloads", result)
        return result.get(row, {"error": (done.stdout.strip().splitlines() or ["no result"])[-1][:80]})


def import_costs():
    """{library: (seconds, MB)} to import it, the best of three."""
    costs = {}
    for name in ("rushlight", "torch", "jax"):
        code = (f"import resource, time; start = time.perf_counter(); import {name}; "
                "print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)")
        runs = []
        for _ in range(3):
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
            if done.returncode == 0:
                runs.append(tuple(map(float, done.stdout.split())))
        if runs:
            costs[name] = min(runs)
    return costs


def cell(result, best):
    if "error" in result:
        return "-"
    text = f"{result['median_us']:,.0f}"
    return f"[bold]{text}[/bold]" if result["median_us"] == best else text


def live(name, result, best):
    """What is printed of a library as soon as its row is done."""
    if "error" in result:
        return f"{name} -"
    return f"{name} {cell(result, best)} (first {result['first_s']:.2f}, {result['rss_mb']:.0f} MB)"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS), help="comma separated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="timed per row, library and round")
    parser.add_argument("--libraries", default=",".join(LIBRARIES))
    parser.add_argument("--json", default="", help="write the figures here")
    options = parser.parse_args()
    libraries = options.libraries.split(",")
    console = Console(width=200)
    console.print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; microseconds, median; first call in seconds")
    figures = {}
    for row in options.rows.split(","):
        rounds = {name: [] for name in libraries}
        for _ in range(options.rounds):
            for name in libraries:
                rounds[name].append(measure(name, row, options.seconds))
        figures[row] = {}
        for name, results in rounds.items():
            good = [r for r in results if "error" not in r]
            figures[row][name] = {"median_us": statistics.median(r["median_us"] for r in good), "first_s": statistics.median(r["first_s"] for r in good),
                                  "rss_mb": max(r["rss_mb"] for r in good)} if good else results[-1]
        best = min((r["median_us"] for r in figures[row].values() if "error" not in r), default=0)
        errors = "  ".join(f"{n}: {r['error']}" for n, r in figures[row].items() if "error" in r)
        console.print(f"{row:14} " + "  ".join(live(n, figures[row][n], best) for n in libraries), errors)
    table = Table("row", *libraries, *(f"first {n}" for n in libraries), *(f"MB {n}" for n in libraries), "ours / best other")
    for row, by_library in figures.items():
        good = {n: r["median_us"] for n, r in by_library.items() if "error" not in r}
        others = [v for n, v in good.items() if n != "ours"]
        ratio = f"{good['ours'] / min(others):.2f}" if "ours" in good and others else "-"
        table.add_row(row, *(cell(by_library[n], min(good.values(), default=0)) for n in libraries),
                      *(f"{by_library[n]['first_s']:.2f}" if "first_s" in by_library[n] else "-" for n in libraries),
                      *(f"{by_library[n]['rss_mb']:.0f}" if "rss_mb" in by_library[n] else "-" for n in libraries), ratio)
    console.print(table)
    costs = import_costs()
    console.print("import: " + ", ".join(f"{n} {s:.2f} s, {mb:.0f} MB" for n, (s, mb) in costs.items()))
    if options.json:
        Path(options.json).write_text(json.dumps({"rows": figures, "import": costs}, indent=1))


if __name__ == "__main__":
    main()
