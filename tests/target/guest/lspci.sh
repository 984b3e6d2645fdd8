# Role "lspci": says all that lspci can tell of each function, as `LSPCI text`, one function after the other, each begun
# by `RESULT lspci begin slot=S` and ended by `RESULT lspci end slot=S lines=N`. Lines of the dump that hold nothing but
# zeros are left out: there are some hundreds, and each character is a trap.
. /lib/drive.sh
appears "$drive" 60
for dev in /sys/bus/pci/devices/*; do
    slot=$(basename "$dev")
    from_tree /pciutils usr/bin/lspci -i /pciutils/usr/share/misc/pci.ids -D -nn -vvv -xxxx -s "$slot" \
        2>/dev/null | grep -v -E '^[0-9a-f]+:( 00)+$|^$' >/tmp/shown
    [ -s /tmp/shown ] || fail "lspci says nothing of $slot"
    result "begin slot=$slot"
    sed 's/^/LSPCI /' /tmp/shown
    result "end slot=$slot lines=$(wc -l </tmp/shown)"
done
result "done"
poweroff -f
sleep 60
