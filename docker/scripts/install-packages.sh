#!/bin/sh
# install-packages PACKAGE...: Debian packages into an image, with nothing left behind that the image does not need.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes --no-install-recommends "$@"
rm -rf /var/lib/apt/lists/* /var/cache/ldconfig/* /var/log/apt /var/log/dpkg.log /var/log/alternatives.log
