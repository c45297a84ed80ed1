"""Tags that are names for other manifests: where signatures, SBOMs and lists of referrers are kept beside an image."""

from __future__ import annotations

import re

# github.com/sigstore/cosign, pkg/oci/remote (SignatureTag and its neighbours); OCI distribution spec 1.1, "Referrers
# Tag Schema". A sha512 digest is cut there, so that its tag does not tell it: such a tag is one like any other.
_BESIDE = re.compile(r"sha256-(?P<hex>[0-9a-f]{64})(?:\.(?:sig|att|sbom))?")


def subject_of_tag(tag: str) -> str | None:
    """The digest that `sha256-<hex>`, with or without cosign's `.sig`, `.att` or `.sbom`, speaks about."""
    found = _BESIDE.fullmatch(tag)
    return f"sha256:{found['hex']}" if found else None
