"""Kill the processes of a home for some minutes, and compare what is left with the model."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.endurance.supervisor import Supervisor


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.endurance", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="for how long")
    parser.add_argument("--seed", type=int, default=None, help="decides about everything but time")
    parser.add_argument("--processes", type=int, default=6, help="kernels and workers at once")
    parser.add_argument("--every", type=int, default=20, help="kills from one check to the next")
    given = parser.parse_args(words)
    folder = Path(tempfile.mkdtemp(prefix="nbtasks-endurance-"))
    supervisor = Supervisor(folder, given.seed, processes=given.processes, every=given.every)
    is_good = supervisor.run(given.minutes * 60)
    if is_good:
        supervisor.remove()
        return 0
    print(f"To see it again: --seed {supervisor.seed}. The home and the notes: {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
