"""Values with a meaning of their own: what a run compares settings with needs no models, which take long to load."""

from __future__ import annotations

LOCAL = "local"
"""`cache.endpoint_url`: the S3 store of this machine's services."""
