"""What changed: what the work tree is compared with, and why with that."""
