"""`python bare.py HOST REPOSITORY`: read all tags with eight connections, and do nothing with what is read."""

import sys
from concurrent.futures import ThreadPoolExecutor

import httpx

KINDS = ("application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json")


def main(host: str, repository: str) -> None:
    """The list, each tag's manifest, and each image's configuration."""
    base = f"http://{host}/v2/{repository}"
    limits = httpx.Limits(max_connections=8, max_keepalive_connections=8)
    with httpx.Client(limits=limits, timeout=60, headers={"Accept": ", ".join(KINDS)}) as client:

        def read(reference: str) -> None:
            document = client.get(f"{base}/manifests/{reference}").raise_for_status().json()
            for child in document.get("manifests", ()):
                read(child["digest"])
            if config := document.get("config"):
                client.get(f"{base}/blobs/{config['digest']}").raise_for_status()

        tags = client.get(f"{base}/tags/list").raise_for_status().json()["tags"]
        with ThreadPoolExecutor(8) as pool:
            for _ in pool.map(read, tags):
                pass


main(*sys.argv[1:])
