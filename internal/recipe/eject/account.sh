#!/bin/sh
# account.sh NAME UID GID: the account that works in the box. Its numbers are
# those of the host, so that the files it writes there are its own.
set -eu
name=$1 uid=$2 gid=$3
old=$(getent passwd "$uid" | cut -d: -f1)
[ -z "$old" ] || [ "$old" = "$name" ] || userdel "$old" # some images come with a user 1000
getent group "$gid" >/dev/null || groupadd -g "$gid" "$name" 2>/dev/null || groupadd -g "$gid" "group$gid"
getent passwd "$name" >/dev/null || useradd -l -M -u "$uid" -g "$gid" -d "/home/$name" -s /bin/bash "$name"
printf '%s ALL=(ALL) NOPASSWD: ALL\n' "$name" >/etc/sudoers.d/account
chmod 440 /etc/sudoers.d/account

home=/home/$name
mkdir -p "$home/work" "$home/.jupyter"
cp -R /etc/skel/. "$home/"
cp -R /opt/recipe/scripts "$home/scripts"
chmod 755 "$home/scripts/set_passwd.sh"
cp "$home/scripts/jupyter_notebook_config.py" "$home/.jupyter/"
# JupyterLab looks for a name of its own.
echo 'load_subconfig("jupyter_notebook_config.py")' >"$home/.jupyter/jupyter_server_config.py"
chown -R "$uid:$gid" "$home"
