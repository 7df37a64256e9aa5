#!/bin/sh
# record.sh: notes in packages.txt what is in the image.
set -eu
here=/opt/recipe
rm -f /etc/apt/preferences.d/recipe-lock
{
	echo "arch $(dpkg --print-architecture)"
	# What stands in for nothing is no package.
	dpkg-query -W -f '${Package} ${Version} ${Status}\n' | awk '$NF == "installed" && $1 != "jupyterlab-build-stub" { print $1, $2 }' | sort -u >/tmp/now.txt
	awk 'FNR == NR { base[$0]; next } { print ($0 in base ? "base" : "apt"), $0 }' $here/base.txt /tmp/now.txt | awk '!($1 $2 in seen) { seen[$1 $2]; print }'
	python3 $here/setup/record.py $here/hashes.txt
} >$here/packages.txt
rm -f /tmp/now.txt
