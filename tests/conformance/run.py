"""The ratchet: every entry of PyTorch's operator database that passed before has to pass again.

    python tests/conformance/run.py            check; exit status 1 where one fell back
    python tests/conformance/run.py --accept   write what passes now into passing.txt

passing.txt has a line for each dtype and entry.  The operators held up are those in operators.txt; new ones are added there.
The dtypes run in two processes at a time, which takes some minutes on two cores; each entry that does not pass is printed as it comes.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
DTYPES = ("float32", "float64", "int64", "bool")


def passing(dtype, operators, samples):
    """The names of the entries that pass in a dtype, and all that were tried."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, str(HERE / "opinfo.py"), "--lib", "rushlight", "--dtype", dtype, "--ops", ",".join(operators),
                   "--max-samples", str(samples), "--json", str(out)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
            for line in run.stdout:
                if line.startswith(("fail", "crash", "missing", "timeout")):
                    print(f"{dtype}: {line.rstrip()}", flush=True)
        if run.returncode:
            raise subprocess.CalledProcessError(run.returncode, command)
        entries = json.loads(out.read_text())["entries"]
    good = {e["name"] for e in entries if e["status"] in ("pass", "nothing")}
    print(f"{dtype}: {len(good)} of {len(entries)} entries pass", flush=True)
    return good, {e["name"]: e for e in entries}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accept", action="store_true", help="write what passes now into passing.txt")
    parser.add_argument("--max-samples", type=int, default=5, metavar="N", help="of each entry and check (5)")
    options = parser.parse_args()
    operators = (HERE / "operators.txt").read_text().split()
    file = HERE / "passing.txt"
    before = set(file.read_text().splitlines()) if file.exists() else set()
    now, lost = set(), []
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda dtype: passing(dtype, operators, options.max_samples), DTYPES))
    for dtype, (good, entries) in zip(DTYPES, found):
        late = [name for name in entries if name not in good and f"{dtype} {name}" in before and entries[name]["status"] in ("timeout", "crash")]
        if late:  # on a busy machine an entry may not have been ready in time: once more, alone
            good |= passing(dtype, late, options.max_samples)[0]
        now |= {f"{dtype} {name}" for name in good}
        for line in sorted(before):
            name = line.partition(" ")[2]
            if line.startswith(dtype + " ") and name in entries and name not in good:
                lost.append(f"{line}: {entries[name]['status']} {entries[name].get('reason', '')}")
    if options.accept:
        file.write_text("\n".join(sorted(now)) + "\n")
    for line in lost:
        print("fell back:", line)
    failed = 0 if options.accept else len(lost)
    print(f"{len(now)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
