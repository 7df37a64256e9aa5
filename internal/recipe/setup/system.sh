#!/bin/sh
# system.sh: what every box needs: the site's certificates and mirror, a few
# programs for terminals and editors, and locales.
set -eu
here=/opt/recipe
dpkg-query -W -f '${Package} ${Version}\n' >$here/base.txt # what was there before
cp $here/setup/dpkg.cfg /etc/dpkg/dpkg.cfg.d/recipe
rm -f /etc/apt/apt.conf.d/docker-clean # it would empty the cache that builds share

sh $here/setup/site.sh
sh $here/setup/apt.sh $here/setup/system.txt
update-ca-certificates >/dev/null

# The sources of the locales (20 MB) are here only while some are made of them.
dpkg -s locales >/dev/null 2>&1 || {
	echo locales >/tmp/locales
	sh $here/setup/apt.sh /tmp/locales
}
while read -r l; do
	localedef -i "${l%%.*}" -f UTF-8 "$l"
done <$here/setup/locales.txt
if [ -e /tmp/locales ]; then
	mv /usr/lib/locale/locale-archive /tmp/
	dpkg --purge locales
	dpkg --purge libc-l10n 2>/dev/null || true
	mkdir -p /usr/lib/locale
	mv /tmp/locale-archive /usr/lib/locale/
	rm /tmp/locales
fi

# JupyterLab shall not ask each member whether they want its news.
mkdir -p /etc/jupyter/labconfig
cp $here/setup/page_config.json /etc/jupyter/labconfig/

# A login shell starts with the distribution's PATH and would lose the image's own.
# shellcheck disable=SC2016 # $HOME is for the shell that reads it
printf 'PATH="$HOME/.local/bin:%s"\n' "$PATH" >/etc/profile.d/recipe.sh
