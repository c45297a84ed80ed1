"""Amazon's registry, by its own API through boto3, with the credentials that boto3 finds.

Sources: docs.aws.amazon.com/AmazonECR/latest/APIReference, BatchDeleteImage (at most 100 images a call; a call that
succeeds may list failures; the last tag that goes takes the image along; the digest takes all tags along) and
DescribeImages. What a tag and a digest in one image id do together is not documented, so they are never sent together.
"""

from __future__ import annotations

import base64
import time
from datetime import UTC
from typing import TYPE_CHECKING, Any

from imagewright.cleanup.vendors import hosts
from imagewright.cleanup.vendors.model import Capabilities, Door, KeptError, Listing
from imagewright.errors import ConfigError, EnvironmentMissingError, RegistryError
from imagewright.registry.authentication import RefusedError
from imagewright.registry.credentials import Credential
from imagewright.registry.model import Deletion

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from imagewright.registry.client import Registry

_ATTEMPTS = 5
_HINT = (
    "AWS credentials that may ecr:DescribeImages and ecr:BatchDeleteImage: `aws sts get-caller-identity` shows whose"
)
_REFUSED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_THROTTLED = frozenset({"LimitExceededException", "RequestLimitExceeded", "Throttling", "ThrottlingException"})
_GONE = frozenset({"ImageNotFound", "ImageNotFoundException"})


class EcrDoor(Door):
    """A tag alone while another one is left; the last one only where its image is approved as well."""

    def __init__(
        self, registry: Registry, repository: str, *, client: Any = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """`client` is boto3's for ECR; without one it is made for the registry's account and region."""
        super().__init__(registry, repository)
        place = hosts.ECR.fullmatch(registry.host)
        if place is None:
            raise ConfigError(
                "this is no host of Amazon's registry",
                where=registry.host,
                hint="<account>.dkr.ecr.<region>.amazonaws.com",
            )
        self._own = {"registryId": place["account"], "repositoryName": repository}
        self._region = place["region"]
        self._made = client
        self._sleep = sleep

    @property
    def can(self) -> Capabilities:
        """Both; a manifest's last tag takes it along."""
        return Capabilities(
            kind="ecr",
            deletes_tags=True,
            deletes_manifests=True,
            last_tag_takes_manifest=True,
            notes=("an image's last tag is kept unless the image goes too: Amazon deletes both together",),
        )

    def close(self) -> None:
        """Close the connections."""
        if self._made is not None:
            self._made.close()

    def listing(self) -> Listing | None:
        """All images."""
        tags: dict[str, str] = {}
        pushed: dict[str, datetime] = {}
        untagged = set[str]()
        token: dict[str, Any] = {}
        while True:
            page = self._ask("describe_images", maxResults=1000, **token)
            for image in page.get("imageDetails", ()):
                digest = image["imageDigest"]
                names = image.get("imageTags") or []
                tags |= dict.fromkeys(names, digest)
                if "imagePushedAt" in image:
                    pushed[digest] = image["imagePushedAt"].astimezone(UTC)
                if not names:
                    untagged.add(digest)
            if not page.get("nextToken"):
                return Listing(tags=tags, pushed=pushed, untagged=frozenset(untagged))
            if page["nextToken"] == token.get("nextToken"):
                raise RegistryError("the list of images goes in a circle", where=self.name())
            token = {"nextToken": page["nextToken"]}

    def _delete_tag(self, tag: str, digest: str) -> Deletion:
        present = self._tags_of(digest)
        if tag not in present:
            return self._elsewhere(tag)
        if present == {tag} and not self.is_approved(digest):
            raise KeptError("Amazon would delete the image with its last tag, and it stays", where=self.name(tag))
        return self._delete("imageTag", tag)

    def _delete_manifest(self, digest: str) -> Deletion:
        found = self._describe({"imageDigest": digest})
        if found is None:
            return Deletion.ABSENT
        self.check_companions(digest, found.get("imageTags") or ())
        return self._delete("imageDigest", digest)

    def _elsewhere(self, tag: str) -> Deletion:
        """A tag that is not on the image that it was seen on: gone, or moved."""
        if self._describe({"imageTag": tag}):
            raise KeptError("the tag has moved", where=self.name(tag))
        return Deletion.ABSENT

    def _tags_of(self, digest: str) -> frozenset[str]:
        """The tags that an image has now."""
        return frozenset((self._describe({"imageDigest": digest}) or {}).get("imageTags") or ())

    def _describe(self, image: dict[str, str]) -> Any:
        """What Amazon says of an image; None where it is not there."""
        try:
            return next(iter(self._ask("describe_images", imageIds=[image])["imageDetails"]), None)
        except _GoneError:
            return None

    def _delete(self, key: str, name: str) -> Deletion:
        """One image id in one call, so that each has had its look just before. What is not answered is unknown."""
        answer = self._ask("batch_delete_image", unknown_is_none=True, imageIds=[{key: name}])
        if answer is None:
            return Deletion.UNKNOWN
        for failure in answer.get("failures", ()):
            if failure.get("imageId", {}).get(key) == name:
                code = failure.get("failureCode", "")
                if code in _GONE:
                    return Deletion.ABSENT
                raise KeptError(f"Amazon keeps it: {code}, {failure.get('failureReason', '')}", where=self.name(name))
        done = any(image.get(key) == name for image in answer.get("imageIds", ()))
        return Deletion.DONE if done else Deletion.UNKNOWN

    def _ask(self, operation: str, *, unknown_is_none: bool = False, **parts: Any) -> Any:
        """One call. What is throttled was not carried out, and is sent again."""
        from botocore import exceptions

        for attempt in range(_ATTEMPTS):
            try:
                return getattr(self._client(), operation)(**self._own, **parts)
            except exceptions.ClientError as error:
                code = error.response.get("Error", {}).get("Code", "")
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
                # Never Amazon's own words about a signature: they repeat the session's token.
                if code in _GONE:
                    raise _GoneError from None
                if code in _REFUSED or status in (401, 403):
                    raise self._refused(code) from None
                if code in _THROTTLED or status == 429:
                    if attempt < _ATTEMPTS - 1:
                        self._sleep(2.0**attempt)
                    continue
                if status >= 500 and unknown_is_none:
                    return None
                raise RegistryError(f"Amazon says no: {code}", where=self.name()) from None
            except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.NoRegionError):
                raise self._refused("no credentials found") from None
            except (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError):
                raise EnvironmentMissingError("Amazon's API cannot be reached", where=self.name()) from None
            except exceptions.BotoCoreError as error:
                if unknown_is_none and isinstance(error, exceptions.HTTPClientError):
                    return None
                raise RegistryError(f"Amazon's API failed: {type(error).__name__}", where=self.name()) from None
        raise RegistryError("Amazon limits our requests", where=self.name(), hint="try again in a few minutes")

    def _refused(self, code: str) -> RefusedError:
        error = RefusedError(self.registry.host, has_credentials=True, detail=code)
        error.hint = _HINT
        return error

    def _client(self) -> Any:
        if self._made is None:
            self._made = _make(self._region)
        return self._made


class _GoneError(Exception):
    """An image that was asked for is not there."""


def registry_credential(host: str) -> Credential | None:
    """The password for an account's registry (GetAuthorizationToken, good for twelve hours); None without AWS's own."""
    from botocore import exceptions

    place = hosts.ECR.fullmatch(host)
    if place is None:
        return None
    try:
        answer = _make(place["region"]).get_authorization_token(registryIds=[place["account"]])
        pair = base64.b64decode(answer["authorizationData"][0]["authorizationToken"]).decode()
    except (exceptions.BotoCoreError, exceptions.ClientError, IndexError, KeyError, ValueError):
        return None
    user, _, password = pair.partition(":")
    return Credential(username=user, password=password)


def _make(region: str) -> Any:
    import boto3
    from botocore.config import Config

    # One attempt each: whether a DELETE is sent again is decided here.
    config = Config(
        retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=60, user_agent_extra="imagewright"
    )
    return boto3.client("ecr", region_name=region, config=config)
