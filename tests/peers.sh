#!/bin/sh
# Lets other clients of the same scanners judge what the recorded ones say. Run as root on Debian 12 or 13, on a machine
# that is no mail server: this installs Exim, rspamd, amavis, squid and fuglu.
set -eu
cd "$(dirname "$0")/.."
tests/setup.sh peers
exec cargo test --locked -p vscan-tests --test claims peers:: -- --include-ignored
