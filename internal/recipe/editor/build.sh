#!/bin/sh
# build.sh FOLDER: code-server from npm, and the Node that runs it.
# It brings its own loader and libraries, so that it needs nothing of the boxes where FOLDER is mounted.
set -eu
version=4.99.4
digest=1001fa6936eb8c5a4d260ee4c967abf89f30b9ec3ecacdb3fd038e8b2ac47eeb231ef7ee4c273e889f7d44fe8d7a6b70f514558fa5b80d29d5f92bff3843280a
npm=10.9.2+sha512.8ab88f10f224a0c614cb717a7f7c30499014f77134120e9c1f0211ea3cf3397592cbe483feb38e0c4b3be1c54e347292c76a1b5edb94a3289d5448484ab8ac81
here=$(dirname "$(readlink -f "$0")")
to=$1

mkdir -p "$to/lib" /tmp/code
cd /tmp/code
# Debian's own npm is some 250 packages more; corepack comes with Node, and fetches the one that is named here.
export COREPACK_HOME=/tmp/code/corepack
npm() { corepack "npm@$npm" "$@"; }
npm pack --silent "code-server@$version"
# The package pins all that it needs, by digest: with its own, everything is.
echo "$digest  code-server-$version.tgz" | sha512sum -c -
tar -xzf "code-server-$version.tgz" --no-same-owner
mv package "$to/server"

# What is compiled: Debian has Node's headers; what came ready-made for others is not asked for.
export JOBS=max npm_config_nodedir=/usr npm_config_build_from_source=true npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false
for dir in . lib/vscode lib/vscode/extensions; do
	(cd "$to/server/$dir" && npm ci --omit=dev --ignore-scripts --legacy-peer-deps)
done
cd "$to/server"
npm rebuild argon2
cd lib/vscode
for module in node-pty native-watchdog; do # themselves: what else their packages would do on install is for other systems
	(cd "node_modules/$module" && node "$COREPACK_HOME"/npm/*/node_modules/node-gyp/bin/node-gyp.js rebuild)
done
cp "$here/spdlog.js" node_modules/@vscode/spdlog/index.js
ln -s node_modules node_modules.asar
ln -s code-linux.sh bin/remote-cli/code-server # `code-server FILE` in its terminal
ln -s browser-linux.sh bin/helpers/browser.sh
mkdir -p node_modules/@vscode/ripgrep/bin
cp /usr/bin/rg node_modules/@vscode/ripgrep/bin/rg

# What nobody runs: sources, what compiling has left, and maps for debuggers.
cd "$to/server"
rm -rf src
find . -name '*.map' -delete
rm -rf lib/vscode/node_modules/@vscode/spdlog/deps lib/vscode/node_modules/kerberos/deps lib/vscode/node_modules/@parcel/watcher-*-musl
find . -path '*/build/Release/*' -type f ! -name '*.node' -delete
find . -type d \( -name obj.target -o -name .deps \) -prune -exec rm -rf {} +

# Node with its loader and libraries; the search is of other programs too.
cp /usr/bin/node "$to/lib/node"
for f in "$to/lib/node" node_modules/argon2 lib/vscode/node_modules; do
	find "$f" -type f \( -name node -o -name rg -o -name '*.node' \) -exec ldd {} \; 2>/dev/null
done | awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// { print $1 }' | sort -u | while read -r lib; do
	cp -L "$lib" "$to/lib/"
done
# Debian's Node reads parts of itself from a folder of the system's, whose name is as long as that of ours.
ours=$to/nodejs theirs=/usr/share/nodejs
[ ${#ours} = ${#theirs} ]
grep -haoE "$theirs/[a-z./-]+\.js" "$to"/lib/libnode.so.* | sort -u | while read -r file; do
	mkdir -p "$ours/$(dirname "${file#"$theirs/"}")"
	cp -L "$file" "$ours/${file#"$theirs/"}"
done
sed -i "s#$theirs/#$ours/#g" "$to"/lib/libnode.so.*
loader=$(basename "$to/lib/"ld-linux-*.so.*)
for f in "$to/lib/node" lib/vscode/node_modules/@vscode/ripgrep/bin/rg; do
	patchelf --set-interpreter "$to/lib/$loader" --force-rpath --set-rpath "$to/lib" "$f"
done
mv $theirs $theirs.away
"$to/lib/node" out/node/entry.js --version
