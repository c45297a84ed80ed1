# Runs when all packages are installed, with the new root as $1: what an image needs and a Debian system does not.
set -eu

# Nothing of the machine that made the image.
rm -f "$1/etc/resolv.conf" "$1/etc/hostname" "$1/var/lib/dbus/machine-id"
: > "$1/etc/machine-id"
find "$1/var/log" -type f -exec truncate --size=0 {} +
rm -f "$1"/var/cache/apt/*.bin
rm -rf "$1/usr/share/doc-base" "$1/var/cache/ldconfig"/* "$1/var/cache/debconf"/*-old "$1/var/lib/dpkg"/*-old

# An install inside the image leaves no archives and no index behind: half of its filesystem layer, else.
cat > "$1/etc/apt/apt.conf.d/slim" <<'END'
APT::AutoRemove::SuggestsImportant "false";
APT::Keep-Downloaded-Packages "false";
Acquire::GzipIndexes "true";
Acquire::Languages "none";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
END
