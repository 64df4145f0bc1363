"""Run the Autobahn fuzzing client against our listener (`make autobahn`).

Every case but those of performance (9) and compression (12, 13): 247 of them, and none may fail.
The test suite needs Python 2.7, found as `$PYTHON27`, on PATH or with pyenv; without one nothing is
tested, which is an error too. It is installed once, into a folder of the checkout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIBRARY = HERE.parent.parent / ".python2.7"
REQUIREMENTS = HERE / "requirements.txt"

CASES = 247
EXCLUDED = ["9.*", "12.*", "13.*"]
SECONDS = 300

#: `NON-STRICT` is a right answer in another order or later than it could be.
PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}

START = """
import site, sys
site.addsitedir(sys.argv.pop(1))
from autobahntestsuite.wstest import run
run()
"""


def main() -> int:
    python = next(pythons(), None)
    if python is None:
        print("Autobahn: NOT RUN, for there is no Python 2.7 with pip (PYTHON27=... names one)")
        return 2
    if problem := install(python):
        print(f"Autobahn: NOT RUN, for the test suite cannot be installed: {problem}")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        results = run(python, Path(folder), sys.argv[1:] or ["*"])
    return report(results, expected=None if sys.argv[1:] else CASES)


def pythons() -> Iterator[str]:
    """Interpreters of version 2.7 that start and have pip."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = map(str, sorted(pyenv.glob("versions/2.7*/bin/python2.7")))
    for name in (os.environ.get("PYTHON27"), "python2.7", *found):
        if not name:
            continue
        probe = [name, "-c", "import sys, pip; sys.exit(sys.version_info[:2] != (2, 7))"]
        try:
            if subprocess.run(probe, capture_output=True, env=environment()).returncode == 0:
                yield name
        except OSError:
            continue


def environment() -> dict[str, str]:
    """Ours without what is meant for the other Python."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}


def install(python: str) -> str:
    """Install the test suite if it is not there; why that failed, or nothing."""
    stamp = LIBRARY / ".installed"
    if stamp.exists() and stamp.read_text() == REQUIREMENTS.read_text():
        return ""
    print("Installing the Autobahn test suite", flush=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--upgrade", "--target", str(LIBRARY)]
    pins = ["--no-deps", "--no-build-isolation", "--require-hashes", "-r", str(REQUIREMENTS)]
    done = subprocess.run([*pip, *pins], capture_output=True, text=True, env=environment())
    if done.returncode != 0:
        return done.stderr.strip().rpartition("\n")[2]
    stamp.write_text(REQUIREMENTS.read_text())
    return ""


def run(python: str, folder: Path, cases: list[str]) -> dict[str, dict[str, str]]:
    """What each case found, by its number."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.autobahn.echo_server"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline().split()[1])
        document = {
            "outdir": str(folder),
            "servers": [{"agent": "engine", "url": f"ws://127.0.0.1:{port}"}],
            "cases": cases,
            "exclude-cases": EXCLUDED,
        }
        spec = folder / "spec.json"
        spec.write_text(json.dumps(document))
        arguments = ["-m", "fuzzingclient", "-s", str(spec)]
        subprocess.run(
            [python, "-c", START, str(LIBRARY), *arguments],
            check=True,
            timeout=SECONDS,
            stdout=subprocess.DEVNULL,
            env=environment(),
        )
    finally:
        server.terminate()
        server.wait()
    results: dict[str, dict[str, str]] = json.loads((folder / "index.json").read_text())["engine"]
    return results


def report(results: dict[str, dict[str, str]], expected: int | None) -> int:
    """Print what was found; 1 if a case failed or is missing."""
    failed = [
        f"case {number}: {case['behavior']}, closing {case['behaviorClose']}"
        for number, case in results.items()
        if case["behavior"] not in PASSED or case["behaviorClose"] not in PASSED
    ]
    if expected is not None and len(results) != expected:
        failed.append(f"{len(results)} cases were run instead of {expected}")
    print("\n".join(failed), end="\n" if failed else "")
    counts = Counter(case["behavior"] for case in results.values())
    found = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    print(f"Autobahn: {len(results)} cases, {len(failed)} failures ({found})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
