#!/bin/sh
# Builds dist/postmottak_VERSION_ARCHITECTURE.deb with dpkg-deb alone. One package serves Debian 12 and 13: the libraries, from the lock
# file beside this script and checked against its hashes, are in it once for each of their Pythons.
set -eu

here=$(dirname "$0")
bin=$PWD/.venv/bin
root=build/deb
wheel=$(ls dist/postmottak-*.whl)
version=$(basename "$wheel" | cut -d- -f2)
architecture=$(dpkg --print-architecture)
machine=$(uname -m)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y pyproject.toml)}
export SOURCE_DATE_EPOCH

rm -rf "$root"
mkdir -p "$root/DEBIAN" "$root/usr/bin" "$root/etc/postmottak" "$root/usr/share/man/man1" "$root/usr/share/doc/postmottak/examples"
for python in 3.11 3.13; do
    target=$root/usr/lib/postmottak/python$python
    set -- --quiet --disable-pip-version-check --no-compile --no-deps --only-binary=:all: --target "$target" \
        --python-version "$python" --implementation cp --platform "manylinux_2_28_$machine" --platform "manylinux_2_27_$machine" \
        --platform "manylinux_2_17_$machine" --platform "manylinux2014_$machine" --platform "manylinux_2_34_$machine"
    "$bin/pip" install "$@" --require-hashes --requirement "$here/requirements.lock"
    rm -rf "$target/bin"   # commands of libraries, which nobody here runs
    "$bin/pip" install "$@" "$wheel"
    rm -rf "$target/bin"
done

install -m 755 "$here/launcher" "$root/usr/bin/postmottak"
install -D -m 644 systemd/postmottak.service "$root/usr/lib/systemd/system/postmottak.service"
install -D -m 644 systemd/postmottak-web.service "$root/usr/lib/systemd/system/postmottak-web.service"
install -D -m 644 systemd/postmottak.sysusers "$root/usr/lib/sysusers.d/postmottak.conf"
install -D -m 644 systemd/postmottak.tmpfiles "$root/usr/lib/tmpfiles.d/postmottak.conf"
install -m 644 config/*.example.toml systemd/shares.conf systemd/several-nodes.conf "$root/usr/share/doc/postmottak/examples"
cp -R docs/examples/. "$root/usr/share/doc/postmottak/examples"
install -m 644 docs/*.md docs/*.json README.md SECURITY.md "$root/usr/share/doc/postmottak"
install -D -m 644 -t "$root/usr/share/doc/postmottak/nb" docs/nb/*.md
install -D -m 644 -t "$root/usr/share/doc/postmottak/monitoring" packaging/monitoring/*
install -m 644 LICENSE "$root/usr/share/doc/postmottak/copyright"
gzip -9n < CHANGELOG.md > "$root/usr/share/doc/postmottak/changelog.gz"
"$bin/python" packaging/manpage.py | gzip -9n > "$root/usr/share/man/man1/postmottak.1.gz"
"$bin/python" packaging/completions.py "$root/usr/share"
for script in postinst prerm postrm; do install -m 755 "$here/$script" "$root/DEBIAN/$script"; done
size=$(du -sk --apparent-size "$root" | cut -f1)
sed -e "s/@VERSION@/$version/; s/@ARCHITECTURE@/$architecture/; s/@SIZE@/$size/" "$here/control.in" > "$root/DEBIAN/control"

chmod -R u+rwX,go+rX,go-w "$root"
find "$root" -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group --build "$root" dist
