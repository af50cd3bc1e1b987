#!/bin/sh
# Starts clamd with one signature at least, that of the EICAR test file, so that nothing has to be downloaded.
set -eu

# In parts, so that no scanner takes this script for the file.
printf '%s%s%s' 'X5O!P%@AP[4\PZX54(P^)7CC)7}$' 'EICAR-STANDARD-ANTIVIRUS' '-TEST-FILE!$H+H*' |
    od -An -v -tx1 | tr -d ' \n' | sed 's/^/Eicar-Test:0:*:/' >/tmp/eicar.ndb
echo >>/tmp/eicar.ndb
cp /tmp/eicar.ndb /var/lib/clamav/eicar.ndb
exec clamd
