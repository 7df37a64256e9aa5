#!/bin/sh
# packages.sh: Debian's Node, and what compiles for it.
set -eu
here=/opt/recipe
cp $here/setup/dpkg.cfg /etc/dpkg/dpkg.cfg.d/recipe
rm -f /etc/apt/apt.conf.d/docker-clean # it would empty the cache that builds share
sh $here/setup/site.sh
sh $here/setup/apt.sh $here/editor/packages.txt
update-ca-certificates >/dev/null
