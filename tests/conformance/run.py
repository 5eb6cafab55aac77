"""The ratchet: every entry of PyTorch's operator database that passed before has to pass again.

    python tests/conformance/run.py            check; exit status 1 where one fell back
    python tests/conformance/run.py --accept   write what passes now into passing.txt

passing.txt has a line for each dtype and entry.  The operators held up are those in operators.txt; new ones are added there.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
DTYPES = ("float32", "float64", "int64", "bool")


def passing(dtype, operators):
    """The names of the entries that pass in a dtype, and all that were tried."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, str(HERE / "opinfo.py"), "--lib", "rushlight", "--dtype", dtype, "--ops", ",".join(operators), "--json", str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        entries = json.loads(out.read_text())["entries"]
    return {e["name"] for e in entries if e["status"] in ("pass", "nothing")}, {e["name"]: e for e in entries}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accept", action="store_true", help="write what passes now into passing.txt")
    options = parser.parse_args()
    operators = (HERE / "operators.txt").read_text().split()
    file = HERE / "passing.txt"
    before = set(file.read_text().splitlines()) if file.exists() else set()
    now, lost = set(), []
    for dtype in DTYPES:
        good, entries = passing(dtype, operators)
        now |= {f"{dtype} {name}" for name in good}
        for line in sorted(before):
            name = line.partition(" ")[2]
            if line.startswith(dtype + " ") and name in entries and name not in good:
                lost.append(f"{line}: {entries[name]['status']} {entries[name].get('reason', '')}")
        print(f"{dtype}: {len(good)} of {len(entries)} entries pass")
    if options.accept:
        file.write_text("\n".join(sorted(now)) + "\n")
    for line in lost:
        print("fell back:", line)
    failed = 0 if options.accept else len(lost)
    print(f"{len(now)} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
