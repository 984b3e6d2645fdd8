# Role "visitor": a guest whose devices come and go while it runs. It obeys orders typed on its console, one a line, and
# says "did ORDER" after each:
#   drive SEED   waits for a drive, checks the question on it and has fio verify what it writes (lib/drive.sh)
#   card         waits for a network card, sends a file there and back (lib/card.sh)
#   busy SEED    fio on the drive, in the background
#   pci          the functions that it sees
#   strangers    takes the drivers of drives and cards away: functions that come now are nobody's
#   adopt        brings the drivers back
#   traces COUNT what the registers of every function hold, as soon as COUNT of them are there (traces.c)
#   log LINES    the newest lines of the kernel's log
#   ping WORD, poweroff, reboot
. /lib/drive.sh
. /lib/card.sh

drive_io() {
    appears ${drive}p2 60
    mount_drive
    drive_work "$1"
    result "drive verified=yes sha256=$actual"
}

card_io() {
    left=600
    until ls -d /sys/class/net/*/device >/dev/null 2>&1; do
        left=$((left - 1))
        [ $left -gt 0 ] || fail "no card came in 60 s"
        usleep 100000
    done
    card_up
    exchange_file
    result "card verified=$verified driver=$driver"
}

# What is no bridge.
functions() {
    for dev in /sys/bus/pci/devices/*; do
        case $(cat "$dev/class") in 0x06*) ;; *) basename "$dev" ;; esac
    done
}

tell_traces() {
    left=600
    until [ "$(functions | wc -l)" -ge "$1" ]; do
        left=$((left - 1))
        [ $left -gt 0 ] || fail "waited 60 s for $1 functions"
        usleep 100000
    done
    traces $(functions) || fail "the functions' registers cannot be read"
}

# The switch drivers_autoprobe is not for functions that are plugged in: the bus asks the drivers itself.
strangers() {
    for module in nvme igbvf; do rmmod $module || fail "cannot remove $module"; done
}

adopt() {
    for module in nvme igbvf; do insmod /modules/$module.ko || fail "cannot insert $module"; done
}

result "listening"
while read -r order first rest; do
    case $order in
        "") continue ;;
        drive) drive_io "${first:-1}" ;;
        card) card_io ;;
        busy) (fio_pass "${first:-1}"; result "busy-ended") & ;;
        pci) list_pci ;;
        strangers | adopt) $order ;;
        traces) tell_traces "${first:-1}" ;;
        log) dmesg | tail -n "${first:-20}" ;;
        ping) result "pong $first" ;;
        poweroff) result "leaving poweroff"; poweroff -f; sleep 60 ;;
        reboot) result "leaving reboot"; reboot -f; sleep 60 ;;
        *) result "unknown-order $order" ;;
    esac
    result "did $order"
done
result "console-ended"
