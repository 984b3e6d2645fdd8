# What a role with a network card uses. Words of the command line: server=ADDRESS:PORT of the workstation's HTTP
# server; nonce=… goes with the answer.
server=$(word server "")

# Finds the card, waits for its carrier, asks for an address; leaves `card` and `driver`.
card_up() {
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
}

# Fetches the file, verifies it, and sends it back for the workstation to compare.
exchange_file() {
    wget -q -O /tmp/file "http://$server/file" || fail "cannot fetch the file"
    expected=$(wget -q -O - "http://$server/file.sha256")
    actual=$(sha256sum /tmp/file | cut -d' ' -f1)
    verified=no
    [ "$expected" = "$actual" ] && verified=yes
    result "file sha256=$actual verified=$verified bytes=$(stat -c %s /tmp/file)"
    [ $verified = yes ] || fail "the fetched file is not what its checksum says"

    # As text, because busybox's wget stops at the first zero byte.
    base64 /tmp/file >/tmp/file.base64
    nonce=$(word nonce none)
    answer=$(wget -q -O - --post-file=/tmp/file.base64 "http://$server/file?nonce=$nonce") ||
        fail "cannot send the file back"
    result "echo answer=$answer"
    answer=$(wget -q -O - "http://$server/answer?sha256=$actual&nonce=$nonce")
    result "answer answer=$answer"
    rm -f /tmp/file /tmp/file.base64
}
