# Role "net": owns a network card (igb) and, unless traitor=no, QEMU's edu device. Words: see lib/card.sh.
. /lib/card.sh
list_pci
card_up
exchange_file

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
