"""`python -m bench.family COUNT STRATEGY`: count the aliases of so many versions; with `none`, the versions alone.

The versions come in no order, a fifth of them in a variant, and they share their prefixes as releases do.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from imagewright.tags.aliases import aliases
from imagewright.tags.versions import Strategy

STRATEGIES: Mapping[str, Strategy] = {"parts": "parts", "semver": "semver"}
SUFFIX = "-semantic"
STEP = 7919  # a prime: all numbers, and neighbours far apart


def versions(count: int) -> list[str]:
    """Fifty patches in each of ten minor versions of each major one."""
    numbers = (place * STEP % count for place in range(count))
    return [f"{n // 500}.{n // 50 % 10}.{n % 50}{'' if n % 5 else SUFFIX}" for n in numbers]


def main(argv: Sequence[str]) -> int:
    """Print how many aliases there are."""
    made, strategy = versions(int(argv[0])), STRATEGIES.get(argv[1])
    print(len(aliases(made, strategy, suffixes=[SUFFIX]).targets) if strategy else len(made))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
