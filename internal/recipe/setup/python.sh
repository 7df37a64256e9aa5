#!/bin/sh
# python.sh own | apt VERSION | uv VERSION: a python3 with pip, and python as another name for it.
set -eu
here=/opt/recipe
cp $here/setup/pip.conf /etc/pip.conf

case $1 in
own)
	python3 -m pip --version >/dev/null 2>&1 || sh $here/setup/apt.sh $here/setup/python.txt
	;;
apt)
	sh $here/setup/apt.sh $here/setup/python.txt
	# Programs of the distribution say /usr/bin/python3 and keep theirs.
	ln -sf "/usr/bin/python$2" /usr/local/bin/python3
	;;
uv)
	# The distribution's Python is here to fetch uv, and goes on to serve the distribution's programs.
	python3 -m venv --without-pip /tmp/uv >/dev/null 2>&1 || sh $here/setup/apt.sh $here/setup/python.txt
	python3 -m venv /tmp/uv
	/tmp/uv/bin/python3 -m pip install --no-cache-dir uv
	/tmp/uv/bin/uv python install --no-cache --install-dir /opt/python "$2"
	for p in /opt/python/cpython-"$2".*; do
		ln -sfn "$p" /opt/python/current
	done
	rm -rf /tmp/uv /opt/python/current/lib/python*/EXTERNALLY-MANAGED
	hash -r
	/opt/python/current/bin/python3 -m pip --version >/dev/null 2>&1 || /opt/python/current/bin/python3 -m ensurepip
	;;
esac

# Before 20.3 pip does not know the names of today's wheels.
case $(python3 -m pip --version) in
'pip '[0-9].* | 'pip 1'[0-9].* | 'pip 20.'[0-2]*) python3 -m pip install --no-cache-dir --upgrade pip ;;
esac
command -v python >/dev/null || ln -s "$(command -v python3)" /usr/local/bin/python
