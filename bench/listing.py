"""`python listing.py ENDPOINT BUCKET PREFIX`: list the objects once, and do nothing with them.

With the library that the package uses itself; keys and region come from the environment.
"""

import sys

import boto3
from botocore.config import Config


def main(endpoint: str, bucket: str, prefix: str) -> None:
    """Every page."""
    client = boto3.client("s3", endpoint_url=endpoint, config=Config(s3={"addressing_style": "path"}))
    count = 0
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        count += len(page.get("Contents", ()))
    print(count)


main(*sys.argv[1:])
