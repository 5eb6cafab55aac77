"""The stub files say what is attached to Tensor and to the namespace."""
import subprocess
import sys
from pathlib import Path


def test_the_stub_files_are_what_would_be_written():
    tool = Path(__file__).parent.parent / "tools" / "make_stubs.py"
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr + "run tools/make_stubs.py"
