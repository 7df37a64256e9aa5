#!/bin/sh
# pip.sh ARGUMENTS: pip install. Which files it fetched is noted, and where a
# lock holds their hashes, other files are refused.
set -eu
here=/opt/recipe
lock=$here/setup/lock-pip.txt
[ ! -s $lock ] || set -- -c $lock "$@"
if python3 -m pip install --help | grep -q -e '--report '; then
	python3 -m pip install --report /tmp/report.json "$@"
	python3 $here/setup/hashes.py /tmp/report.json $here/hashes.txt $here/setup/lock-hashes.txt
	rm /tmp/report.json
else # before 22.2 pip does not tell
	python3 -m pip install "$@"
fi
