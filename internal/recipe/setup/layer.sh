#!/bin/sh
# layer.sh APT PIP: adds the packages that a member asked for. The wheels that
# were chosen for this host (keep.txt) stay as they are.
#
# pip has no cache here: building a package runs code of whoever wrote it, and
# a cache that several members' builds share would carry its traces from one
# into the other.
set -eu
here=/opt/recipe
sh $here/setup/apt.sh "$here/$1"
[ ! -s "$here/$2" ] || sh $here/setup/pip.sh --no-cache-dir -c $here/keep.txt -r "$here/$2"
