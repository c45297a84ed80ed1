"""The tasks of this repository: those of the package, and its own chores. Yours needs the first line only."""

import dev
from imagewright import ns

ns.add_collection(dev.ns, "dev")
