#!/usr/bin/env bash
# dev/packages and dev/pg-config: where nothing is missing; where things are missing and there is no
# apt; what apt is asked for. (What it then does, tests/bare-root tries.)
set -u
cd "$(dirname "$0")/../.."
n=0 status=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
is() { # NAME GOT WANTED
    n=$((n + 1))
    if [ "$2" != "$3" ]; then
        printf '%s\n' "got:    $2" "wanted: $3" | sed 's/^/# /' && printf 'not ' && status=1
    fi
    echo "ok $n - $1"
}
named() { sed -n 's/^  \([a-z]* [^:]*\): .* (Debian: .*)$/\1/p' <<<"$1" | sort | paste -sd,; }
without() { # PROGRAM...: a directory with all programs but these; ccache would find itself there
    local dir
    dir=$(mktemp -d "$work/bin.XXXXXX")
    for d in $(tr : '\n' <<<"$PATH:/usr/sbin" | grep -v ccache); do
        ln -s "$(cd "$d" && pwd)"/* "$dir"
    done 2>/dev/null
    (cd "$dir" && rm -f "$@")
    echo "$dir"
}
program() { # NAME: the script on stdin
    mkdir -p "$(dirname "$1")" && cat >"$1" && chmod +x "$1"
}

out=$(dev/packages test 2>&1)
is 'nothing is missing: status' $? 0
is 'nothing to say' "$out" ''

# a machine with make and little else
mkdir "$work/little"
for tool in sh make sed grep cut cat ls id mktemp rm sort; do
    ln -s "$(command -v $tool)" "$work/little/$tool"
done
out=$(PATH=$work/little PG_CONFIG= dev/packages demo 2>&1)
is 'much is missing, and there is no apt: status' $? 1
for thing in 'compiler gcc' 'header jansson.h' 'command pkg-config'; do
    is "$thing is named" "$(grep -c "^  $thing: .* (Debian: " <<<"$out")" 1
done
is 'what only the tests need is not' "$(grep -c cmocka <<<"$out")" 0
out=$(PATH=$work/little make demo 2>&1)
is 'make demo stops there' $? 2
is 'and builds nothing' "$(grep -c building <<<"$out")" 0
out=$(PATH=$work/little make PG_CONFIG=/nowhere/pg_config 2>&1)
is 'make without a PostgreSQL says what to do' "$(grep -c 'dev/packages demo' <<<"$out")" 1
for args in nonsense '' 'check nonsense' 'check'; do
    out=$(PATH=$work/little dev/packages $args 2>&1)
    is "unknown arguments: $args" "$? ${out%%|*}" '2 usage: dev/packages demo'
done

# ---- the PostgreSQL that is meant ---------------------------------------------------------

real=$(dev/pg-config)
bindir=$("$real" --bindir) version=$("$real" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
# DIR VERSION SERVER HEADERS: a pg_config as Debian's client package ships it, and where PostgreSQL
# is complete as the last two say
postgresql() {
    mkdir -p "$1/bin" "$1/include/server"
    [ "$3" = no ] || touch "$1/bin/postgres" "$1/bin/initdb"
    [ "$4" = no ] || touch "$1/include/server/postgres.h"
    chmod -R +x "$1/bin"
    program "$1/path/pg_config" <<END
#!/bin/sh
for option; do
    case \$option in
    --version) echo 'PostgreSQL $2.1' ;;
    --bindir) echo '$1/bin' ;;
    --pkgincludedir) echo '$1/include' ;;
    --includedir-server) echo '$1/include/server' ;;
    *) '$real' \$option ;;
    esac
done
END
}
postgresql "$work/client" 17 no no
postgresql "$work/headers" 17 no yes
postgresql "$work/server" 16 yes no
postgresql "$work/both" 16 yes yes
postgresql "$work/old" 14 yes yes
unset PG_CONFIG
for kind in client headers server old; do
    got=$(PATH=$work/$kind/path:$PATH dev/pg-config)
    is "$kind first on PATH: a complete one is meant" "$("$got" --bindir)" "$bindir"
done
is 'the first complete one on PATH' "$(PATH=$work/server/path:$work/both/path:$PATH dev/pg-config)" \
    "$work/both/path/pg_config"
is 'PG_CONFIG before all' "$(PG_CONFIG=$work/client/path/pg_config dev/pg-config)" \
    "$work/client/path/pg_config"
is 'it may be a name on PATH' "$(PATH=$work/client/path:$PATH PG_CONFIG=pg_config dev/pg-config)" \
    "$work/client/path/pg_config"
out=$(PG_CONFIG=$work/none dev/packages demo 2>&1)
is 'PG_CONFIG names nothing' "$? $out" "1 PG_CONFIG=$work/none: no such program"
out=$(PATH=$work/client/path:$PATH dev/packages demo 2>&1)
is 'two versions: what is looked for' "$? $out" '0 '
out=$(PATH=$work/client/path:$PATH make -pn B="$work/b" E="$work/b" all 2>/dev/null |
    sed -n 's/^bindir := //p')
is 'what is built for' "$out" "$bindir"
out=$(PATH=$work/client/path:$PATH dev/private-server --no-fsync -- sh -c '"$PG_CONFIG" --bindir' 2>&1)
is 'which server runs' "$out" "$bindir"

# ---- what is missing is named, without apt ------------------------------------------------

bare=$(without apt-get)
out=$(PATH=$bare PG_CONFIG=$work/client/path/pg_config dev/packages demo 2>&1)
is 'a client alone' "$? $(named "$out")" '1 module postgres.h,server postgres,server psql'
is 'the packages named are of its version' "$(grep -c 'postgresql-.*17)' <<<"$out")" 3
out=$(PATH=$bare PG_CONFIG=$work/old/path/pg_config dev/packages demo 2>&1)
is 'a version that is too old' "$? $(named "$out")" '1 module postgres.h,server postgres,server psql'

# The real server without its headers: pgxs.mk is there. It has them once $work/installed exists.
program "$work/headerless/pg_config" <<END
#!/bin/sh
if [ -e '$work/installed' ]; then exec '$real' "\$@"; fi
for option; do
    case \$option in
    --pkgincludedir) echo '$work/client/include' ;;
    --includedir-server) echo '$work/client/include/server' ;;
    *) '$real' \$option ;;
    esac
done
END
headerless=$work/headerless/pg_config
out=$(PATH=$bare PG_CONFIG=$headerless dev/packages demo 2>&1)
is 'a server without its headers' "$? $(named "$out")" '1 module postgres.h'
out=$(make B="$work/b" E="$work/b" PG_CONFIG="$headerless" extension 2>&1)
is 'make: status' $? 2
is 'make: what is missing' "$(named "$out")" 'module postgres.h'
is 'make: what to do' "$(grep -c '`dev/packages demo` installs' <<<"$out")" 1
is 'make: nothing was compiled' "$(grep -c 'error:' <<<"$out")" 0
out=$(make -n B="$work/b" E="$work/b" PG_CONFIG="$headerless" lib 2>&1)
is 'the library does without the headers of the server' "$? $(grep -c 'check extension' <<<"$out")" '0 0'

# a compiler on a machine without jansson's header and without SQLite's library
program "$work/cc" <<'END'
#!/bin/sh
for argument; do
    case $argument in
    -lsqlite3) echo 'cannot find -lsqlite3' >&2 && exit 1 ;;
    *.c) if grep -q '<jansson\.h>' "$argument"; then echo 'error: no jansson.h' >&2 && exit 1; fi ;;
    esac
done
exec gcc "$@"
END
out=$(make B="$work/b" E="$work/b" CC="$work/cc" lib 2>&1)
is 'a header, and a library to link' "$? $(named "$out")" '2 header jansson.h,header sqlite3.h'
is 'both are named before anything is compiled' "$(grep -c 'error:' <<<"$out")" 0

# programs that are there and do not run
broken=$(without apt-get prove clang)
for name in prove clang; do
    program "$broken/$name" <<<$'#!/bin/sh\nexit 127'
done
out=$(PATH=$broken dev/packages test 2>&1)
is 'what does not run is missing' "$? $(named "$out")" '1 command clang,command prove,sanitize clang'

# ---- what apt is asked for ----------------------------------------------------------------

# An ordinary user with sudo, and an apt whose steps fail when they are in $FAIL. $OFFER are the
# versions of PostgreSQL that it has.
apt=$(without apt-get apt-cache sudo id systemctl)
program "$apt/id" <<<$'#!/bin/sh\necho 1000'
program "$apt/sudo" <<END
#!/bin/sh
case \$1 in
env) shift 2 && exec "\$@" ;;
*) echo "sudo \$1" >>'$work/asked' ;;
esac
END
program "$apt/apt-get" <<END
#!/bin/sh
for step; do case \$step in update | install) break ;; esac; done
echo "\$*" | sed "s/.* \$step/\$step/; s/-y --no-install-recommends //" >>'$work/asked'
case " \$FAIL " in *" \$step "*) echo "E: \$step fails" && exit 100 ;; esac
[ \$step = update ] || touch '$work/installed'
END
program "$apt/apt-cache" <<'END'
#!/bin/sh
case " $OFFER " in
*" ${2##*-} "*) printf '%s:\n  Candidate: %s.1\n' "$2" "${2##*-}" ;;
*) printf '%s:\n  Candidate: (none)\n' "$2" ;;
esac
END
ask() { # FAIL OFFER PG_CONFIG: $out and $asked
    rm -f "$work/installed" "$work/asked"
    touch "$work/asked"
    out=$(PATH=$apt FAIL=$1 OFFER=$2 PG_CONFIG=$3 dev/packages demo 2>&1)
    result=$?
    asked=$(paste -sd, "$work/asked")
}
debian=$([ "$bindir" = "/usr/lib/postgresql/$version/bin" ] && echo yes)
if [ -n "$debian" ]; then
    ask 'update' "15 16 17 18" "$headerless"
    is 'the headers are installed, of the version of the server, also with the lists there are' \
        "$result $asked" "0 update,install postgresql-server-dev-$version"
    is 'which is said' "$(grep -c 'apt-get update failed; going on' <<<"$out")" 1
    ask 'update install' "$version" "$headerless"
    is 'the lists there are do not do' "$result $(named "$out")" '1 module postgres.h'
    is 'why' "$(grep -c '^dev/packages: apt-get install failed.*apt-get update failed' <<<"$out")" 1
fi
ask 'update' '' "$headerless"
is 'no lists' "$result $asked $(named "$out")" '1 update module postgres.h'
is 'why' "$(grep -c '^dev/packages: apt has no.*apt-get update failed' <<<"$out")" 1
ask '' '15 16 18' "$work/client/path/pg_config"
is 'PG_CONFIG asks for a version that apt does not have: no other is installed' "$result $asked" '1 update'

# Packages that do not bring what is missing.
program "$apt/apt-get" <<<$'#!/bin/sh\ntrue'
ask '' "15 16 17 18" "$headerless"
is 'still missing after the installation' "$result $(named "$out")" '1 module postgres.h'

echo "1..$n"
exit $status
