#!/usr/bin/env bash
# make install puts everything where PREFIX and DESTDIR say, a program builds against what is
# there, make uninstall takes it all away again; make installcheck passes against a running server.
set -u
cd "$(dirname "$0")/../.."
n=0 status=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ok() { # NAME COMMAND...
    local name=$1
    shift
    n=$((n + 1))
    if ! "$@" >"$work/out" 2>&1; then
        sed 's/^/# /' "$work/out"
        printf 'not ' && status=1
    fi
    echo "ok $n - $name"
}
empty() { [ -z "$1" ] || { echo "$1" && false; }; }
make() { command "${MAKE:-make}" -s "$@"; }
pg_config=$(dev/pg-config)
there=(DESTDIR="$work/root" PREFIX=/opt/newt)

ok 'make install' make install "${there[@]}"
for file in $($pg_config --pkglibdir)/newt.so $($pg_config --sharedir)/extension/newt.control \
    $($pg_config --sharedir)/extension/newt{--0.1.0,-portable,-from-portable}.sql /opt/newt/include/newtdb.h \
    /opt/newt/lib/libnewtdb.{a,so,so.0} /opt/newt/lib/pkgconfig/newtdb.pc /opt/newt/bin/newt-updater \
    /opt/newt/lib/systemd/system/newt-updater{,@}.service \
    $(for page in docs/man/*; do echo "/opt/newt/share/man/man${page##*.}/${page##*/}"; done); do
    ok "$file" test -s "$work/root$file"
done
ok 'and nothing else is there' empty "$(find "$work/root" -type f | grep -vE '/(newt|libnewtdb)[^/]*$')"

export PKG_CONFIG_SYSROOT_DIR=$work/root PKG_CONFIG_PATH=$work/root/opt/newt/lib/pkgconfig
ok 'pkg-config knows the version' pkg-config --exact-version=0.1.0 newtdb
ok 'a program builds' gcc -std=c11 examples/hello.c -o "$work/hello" $(pkg-config --cflags --libs newtdb)
ok 'also statically' gcc -std=c11 examples/hello.c -o "$work/static" $(pkg-config --cflags newtdb) \
    "$work/root/opt/newt/lib/libnewtdb.a" $(sed -n 's/^Libs.private: //p' "$PKG_CONFIG_PATH/newtdb.pc")
ok 'the program needs the library by its soname' grep -q 'NEEDED.*\[libnewtdb\.so\.0\]' <(readelf -d "$work/hello")
ok 'the installed updater finds the library beside it' "$work/root/opt/newt/bin/newt-updater" --help

ok 'the units start it' grep -qx 'ExecStart=/opt/newt/bin/newt-updater --config=/etc/newt/[a-z%-]*\.conf' \
    "$work"/root/opt/newt/lib/systemd/system/newt-updater{,@}.service
one_user() { [ "$(cat "$work"/root/opt/newt/lib/systemd/system/newt-updater{,@}.service | grep -c '^User=newt-updater$')" = 2 ]; }
ok 'as a user whose name peer authentication knows' one_user
ok 'each in a directory of its own, that its group may read' diff <(sort <<'END'
StateDirectory=newt-updater
StateDirectory=newt-updater-%i
StateDirectoryMode=0750
StateDirectoryMode=0750
UMask=0027
UMask=0027
END
) <(grep -hE '^(StateDirectory|UMask)' "$work"/root/opt/newt/lib/systemd/system/newt-updater{,@}.service | sort)
# the program is looked for where the unit says, so a copy names one that is there
verify() {
    local unit
    for unit in newt-updater newt-updater@; do
        sed "s|/opt/newt/bin|$work/root/opt/newt/bin|" "$work/root/opt/newt/lib/systemd/system/$unit.service" \
            >"$work/$unit.service"
    done
    empty "$(systemd-analyze --man=no verify "$work/newt-updater.service" "$work/newt-updater@x.service" 2>&1 |
        grep -F newt-updater)"
}
if command -v systemd-analyze >/dev/null; then ok 'systemd understands the units' verify; fi

ok 'make uninstall' make uninstall "${there[@]}"
ok 'nothing is left' empty "$(find "$work/root" ! -type d)"

# but for what takes longest, and rests on nothing that is installed
names=$(ls tests/sql/sql | sed 's/\.sql$//')
[ -n "${NEWT_SOAK:-}" ] || names=$(grep -vx 'sizes\|text_limits' <<<"$names")
ok 'make installcheck' dev/private-server --no-fsync -- "${MAKE:-make}" -s installcheck REGRESS_TESTS="$(echo $names)"
echo "1..$n"
exit $status
