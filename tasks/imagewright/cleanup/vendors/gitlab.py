"""GitLab's registry: tags by the OCI specification's DELETE, by its own older address where it does not know that.

Sources: gitlab.com/gitlab-org/container-registry, docs/spec/docker/v2/api.md ("Deleting a Tag": the OCI way came with
GitLab 16.4) and docs/spec/gitlab/api.md ("List Repository Tags"). GitLab's project API is not used: before 16.4 it
deletes by digest, and so every other tag of the image as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imagewright.cleanup.vendors.api import malformed, parsed
from imagewright.cleanup.vendors.model import Listing, latest, moment
from imagewright.cleanup.vendors.oci import OciDoor
from imagewright.errors import RegistryError
from imagewright.registry.authentication import RefusedError
from imagewright.registry.model import Deletion
from imagewright.registry.pages import pages
from imagewright.registry.session import explanation

if TYPE_CHECKING:
    from datetime import datetime

    from imagewright.registry.answer import Answer
    from imagewright.registry.client import Registry

_PAGE = 1000  # the most that its list gives at once
_TAG_IS_GONE = ("TAG_UNKNOWN", "MANIFEST_UNKNOWN", "NAME_UNKNOWN")


class GitLabDoor(OciDoor):
    """A tag alone, or a manifest that no index names."""

    kept_words = ("MANIFEST_REFERENCED_IN_LIST",)

    def __init__(self, registry: Registry, repository: str) -> None:
        super().__init__(registry, repository, "gitlab")
        self._is_old = False

    def listing(self) -> Listing | None:
        """All tags with their times; None where the registry keeps no database, or shows it to GitLab alone."""
        tags: dict[str, str] = {}
        pushed: dict[str, datetime] = {}
        path = f"/gitlab/v1/repositories/{self.repository}/tags/list/?n={_PAGE}"
        try:
            for number, response in enumerate(pages(self._read, path, "list of tags", self.name())):
                if number == 0 and response.status_code == 404:
                    return None
                if response.status_code != 200:
                    raise RegistryError(f"the registry says no to GET: {explanation(response)}", where=self.name())
                for entry in parsed(response, self.name()):
                    tag, digest = entry["name"], entry["digest"]
                    time = moment(entry.get("published_at") or entry.get("updated_at") or entry.get("created_at"))
                    tags[tag] = digest
                    pushed |= latest(pushed, digest, time)
        except RefusedError:
            return None
        except (AttributeError, KeyError, TypeError):
            raise malformed(self.name()) from None
        return Listing(tags=tags, pushed=pushed)

    def _delete_tag(self, tag: str, digest: str) -> Deletion:
        if not self._is_old:
            outcome = super()._delete_tag(tag, digest)
            if outcome is not Deletion.UNSUPPORTED:
                return outcome
        response = self.ask_to_delete(f"/v2/{self.repository}/tags/reference/{tag}")
        if response is not None and response.status_code == 404 and not _is_about_the_tag(response):
            return Deletion.UNSUPPORTED  # it does not know that address either
        outcome = self.settle(response, tag)
        self._is_old = outcome is Deletion.DONE
        return outcome

    def _read(self, path: str) -> Answer:
        return self.registry.ask("GET", path, scopes=(f"repository:{self.repository}:pull",))


def _is_about_the_tag(response: Answer) -> bool:
    return any(code in explanation(response) for code in _TAG_IS_GONE)
