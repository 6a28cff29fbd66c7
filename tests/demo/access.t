#!/usr/bin/env bash
# docs/access.md does what it says.
exec env NEWT_PAGE=docs/access.md "$(dirname "$0")/tutorial.t"
