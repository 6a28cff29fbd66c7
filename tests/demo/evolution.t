#!/usr/bin/env bash
# docs/evolution.md does what it says.
exec env NEWT_PAGE=docs/evolution.md "$(dirname "$0")/tutorial.t"
