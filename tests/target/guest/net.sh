# Role "net": owns a network card (igb) and, unless traitor=no, QEMU's edu device.
# Words: server=ADDRESS:PORT of the workstation's HTTP server; nonce=… goes with the answer.
list_pci
server=$(word server "")
[ -n "$server" ] || fail "no server=ADDRESS:PORT on the command line"
card=
for each in /sys/class/net/*; do
    [ -e "$each/device" ] && card=$(basename "$each")
done
[ -n "$card" ] || fail "no network card"
ifconfig "$card" up
left=300
until [ "$(cat "/sys/class/net/$card/carrier")" = 1 ]; do
    left=$((left - 1))
    [ $left -gt 0 ] || fail "no carrier on $card for 30 s"
    usleep 100000
done
udhcpc -i "$card" -n -q -f -t 10 -T 3 -s /etc/udhcpc.script >/tmp/udhcpc.log 2>&1 || {
    cat /tmp/udhcpc.log
    fail "no address by DHCP"
}
driver=$(basename "$(readlink "/sys/class/net/$card/device/driver")")
result "address ip=$(cat /tmp/address) card=$card driver=$driver"

wget -q -O /tmp/file "http://$server/file" || fail "cannot fetch the file"
expected=$(wget -q -O - "http://$server/file.sha256")
actual=$(sha256sum /tmp/file | cut -d' ' -f1)
verified=no
[ "$expected" = "$actual" ] && verified=yes
result "file sha256=$actual verified=$verified bytes=$(stat -c %s /tmp/file)"
[ $verified = yes ] || fail "the fetched file is not what its checksum says"

# The other direction: the file goes back, and the workstation compares. As text, because busybox's
# wget stops at the first zero byte.
base64 /tmp/file >/tmp/file.base64
nonce=$(word nonce none)
answer=$(wget -q -O - --post-file=/tmp/file.base64 "http://$server/file?nonce=$nonce") ||
    fail "cannot send the file back"
result "echo answer=$answer"
answer=$(wget -q -O - "http://$server/answer?sha256=$actual&nonce=$nonce")
result "answer answer=$answer"

if [ "$(word traitor yes)" = yes ]; then
    # The workstation answers as soon as the neighbour is at work, with the addresses to attack.
    orders=$(wget -q -O - "http://$server/orders") || fail "no orders for the traitor"
    edu_traitor $orders || result "traitor-failed status=$?"
    wget -q -O - "http://$server/done" >/dev/null
fi

interrupts "^$card"
stat=/sys/class/net/$card/statistics
result "io bytes_read=$(cat $stat/rx_bytes) bytes_written=$(cat $stat/tx_bytes)"
result "done"
