"""`python peak.py PROGRAM ARGUMENT…`: run it, then print the peak of its memory as the last line.

That is the resident set of the largest process among it and those that it waited for, in KiB (getrusage(2), ru_maxrss).
On Linux a process inherits the peak of the one that started it; so this is a program of its own, and a small one.
"""

import os
import sys

child = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss, flush=True)
sys.exit(os.waitstatus_to_exitcode(status))
