#!/bin/sh
# jupyter-debian.sh: JupyterLab and the classic Notebook from Debian's own packages.
#
# Debian's jupyterlab depends on some ninety JavaScript packages (1 GB) that
# are needed only to rebuild what is already built in it. One empty package
# says that it provides them. The same goes for gdb, which only attaching to a
# foreign process would use, and for the type hints of foreign packages.
set -eu
export DEBIAN_FRONTEND=noninteractive
here=/opt/recipe
apt-cache show jupyterlab >/dev/null 2>&1 || apt-get update -o Acquire::Languages=none
build=$(apt-cache show --no-all-versions jupyterlab | sed -n 's/^Depends: //p' | tr ',' '\n' |
	sed 's/ *|.*//; s/^ *//; s/ *(.*//; s/:any//' | grep -E '^(node-|webpack|jest|yarnpkg)' | sort -u | sed 's/$/ (= 999)/' | paste -sd, -)
stub=$(mktemp -d)
chmod 755 "$stub"
mkdir "$stub/DEBIAN"
cat >"$stub/DEBIAN/control" <<END
Package: jupyterlab-build-stub
Version: 999
Architecture: all
Maintainer: recipe <root@localhost>
Provides: $build, gdb (= 999), python3-typeshed (= 999)
Description: stands in for what only rebuilding JupyterLab needs
END
dpkg-deb -b "$stub" /tmp/stub.deb >/dev/null
echo /tmp/stub.deb | cat - $here/setup/jupyter.txt >/tmp/jupyter.txt
sh $here/setup/apt.sh /tmp/jupyter.txt
rm -rf "$stub" /tmp/stub.deb /tmp/jupyter.txt
