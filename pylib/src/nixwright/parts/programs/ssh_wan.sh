# Opens SSH on the WAN where the file $1 is there and closes it where it is not, for the port $2, in one transaction.
set -eu
if test -f "$1"; then element="add element inet gateway ssh_wan { $2 }"; else element=""; fi
nft -f - <<END
flush set inet gateway ssh_wan
$element
END
