"""`python bare.py HOST REPOSITORY`: read all tags with eight connections, and do nothing with what is read.

With the library that the package uses itself: what is slower than this is the package's own doing.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

from urllib3 import BaseHTTPResponse, HTTPConnectionPool

KINDS = ("application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json")


def main(host: str, repository: str) -> None:
    """The list, each tag's manifest, and each image's configuration."""
    name, _, port = host.partition(":")
    pool = HTTPConnectionPool(name, int(port), maxsize=8, block=True, timeout=60, headers={"Accept": ", ".join(KINDS)})

    def get(path: str) -> BaseHTTPResponse:
        response = pool.urlopen("GET", f"/v2/{repository}/{path}", retries=False)
        assert response.status == 200, path
        return response

    def read(reference: str) -> None:
        document = get(f"manifests/{reference}").json()
        for child in document.get("manifests", ()):
            read(child["digest"])
        if config := document.get("config"):
            get(f"blobs/{config['digest']}")

    with ThreadPoolExecutor(8) as threads:
        for _ in threads.map(read, get("tags/list").json()["tags"]):
            pass


main(*sys.argv[1:])
