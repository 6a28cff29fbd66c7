# tap.sh - TAP from a shell script, sourced by the tests of this room. Sets -u and pipefail, goes
# to the checkout's top, and makes a directory $work that is removed at the end.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
tap_n=0 tap_failed=0
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT

ok() { # NAME COMMAND [ARG]...: fine when the command is
    tap_n=$((tap_n + 1))
    local name=$1
    shift
    if "$@" >"$work/.out" 2>&1; then
        echo "ok $tap_n - $name"
    else
        sed 's/^/# /' "$work/.out" | tail -n 40
        echo "not ok $tap_n - $name"
        tap_failed=1
    fi
}

is() { # NAME GOT WANTED
    tap_n=$((tap_n + 1))
    if [ "$2" = "$3" ]; then
        echo "ok $tap_n - $1"
    else
        diff <(printf '%s\n' "$3") <(printf '%s\n' "$2") | sed 's/^/# /' | head -n 40
        echo "not ok $tap_n - $1"
        tap_failed=1
    fi
}

has() { # NAME GOT REGEX
    ok "$1" matches "$2" "$3"
}

matches() {
    grep -qE -- "$2" <<<"$1" || { cat <<<"$1" && false; }
}

done_testing() {
    echo "1..$tap_n"
    exit "$tap_failed"
}

sql() { # SQL: unadorned rows
    psql -XqAt -v ON_ERROR_STOP=1 -c "$1"
}
