#!/bin/sh
# set_passwd.sh: writes Jupyter's settings and sets its password, asked twice.
# Enter twice: no password, Jupyter then asks for the token that it prints.
# Prints DONE; or RETRY, and then run it again. The old settings stay as .old.
here=$(cd "$(dirname "$0")" && pwd)
config=$HOME/.jupyter/jupyter_notebook_config.py

retry() {
	[ -z "${1:-}" ] || echo "$1" >&2
	rm -f "$config.new"
	echo RETRY
	exit 1
}

echo_off() { [ ! -t 0 ] || stty -echo; }
echo_on() { [ ! -t 0 ] || stty echo; }
trap 'echo_on; echo; retry' INT TERM HUP

ask() { # ask PROMPT: the answer is in $answer
	printf '%s' "$1" >&2
	echo_off
	IFS= read -r answer || [ -n "$answer" ] || { echo_on; retry 'No answer.'; }
	echo_on
	echo >&2
}

tries=0
while :; do
	ask 'Password (Enter for none): '
	first=$answer
	ask 'Once more: '
	[ "$first" != "$answer" ] || break
	tries=$((tries + 1))
	[ "$tries" -lt 3 ] || retry 'Three times the two did not match.'
	echo 'The two did not match.' >&2
done

mkdir -p "$HOME/.jupyter" || retry
# The password goes through a pipe: arguments can be read by everybody.
printf '%s' "$first" | python3 -c '
import sys
text = open(sys.argv[1]).read()
password = sys.stdin.buffer.read().decode("utf-8", "replace")
if password:
    try:
        from jupyter_server.auth import passwd
    except ImportError:
        from notebook.auth import passwd
    text = text.replace("password = \"\"", "password = " + repr(passwd(password)), 1)
open(sys.argv[2], "w").write(text)
' "$here/jupyter_notebook_config.py" "$config.new" 2>/dev/null || retry 'The settings could not be written.'
chmod 600 "$config.new" || retry
[ ! -e "$config" ] || mv "$config" "$config.old" || retry
mv "$config.new" "$config" || retry
echo DONE
echo 'It counts from the next start of Jupyter.' >&2
