# Role "shell": a guest without devices. It does what do=… on the command line says, or else obeys
# one-word orders that are typed on its console.
result "ok kernel=$(uname -r) cpus=$(nproc)"
list_pci

# work SECONDS: keeps all CPUs busy and checks that the sums come out right, so that a neighbour's
# fate has something to disturb.
work() {
    end=$(($(date +%s) + $1))
    rounds=0
    for cpu in $(seq "$(nproc)"); do
        (
            wrong=0
            while [ "$(date +%s)" -lt $end ]; do
                sum=$(seq 1 2000 | awk '{ s += $1 } END { print s }')
                [ "$sum" = 2001000 ] || wrong=$((wrong + 1))
            done
            [ $wrong = 0 ]
        ) &
        pids="$pids $!"
    done
    status=sound
    for pid in $pids; do wait "$pid" || status=broken; done
    pids=
    result "work $status seconds=$1"
}

# capabilities: the ids of the legacy capabilities that this guest's first function shows.
capabilities() {
    for config in /sys/bus/pci/devices/*/config; do
        bytes=$(od -An -v -t u1 -N 256 "$config" | tr '\n' ' ')
        echo "$bytes" | awk '{
            for (at = $53, left = 48; at >= 64 && left > 0; at = $(at + 2), left--)
                list = list sprintf("%s%02x", list == "" ? "" : ",", $(at + 1))
            if ($53) print "RESULT shell capabilities ids=" list }'
    done
}

# drive: mounts the NVMe drive's first partition and reads the question (see store.sh).
drive() {
    appears /dev/nvme0n1p1 30
    mount -t ext4 -o ro /dev/nvme0n1p1 /mnt || fail "cannot mount the drive"
    result "drive sha256=$(sha256sum /mnt/question.bin | cut -d' ' -f1)"
    umount /mnt
}

# poke FILE OFFSET HOW: an access by a process of its own (see poke.c). 135: ended by SIGBUS.
poke_it() {
    value=$(poke "$@" 2>/dev/null)
    result "poke offset=$2 how=$3 status=$? value=$value"
}

# watch_button: leaves when the power button is pressed. A struct input_event is 24 bytes; after the
# time come type, code and value: EV_KEY (1), KEY_POWER (116), pressed (1).
watch_button() {
    while event=$(dd bs=24 count=1 2>/dev/null | od -An -v -t u1 -j 16) && [ -n "$event" ]; do
        [ "$(echo $event)" = "1 0 116 0 1 0 0 0" ] && break
    done </dev/input/event0
    [ -n "$event" ] || return
    result "leaving button"
    sync
    poweroff -f
}
[ -e /dev/input/event0 ] && watch_button &

obey() {
    case $1 in
        poweroff) result "leaving poweroff"; poweroff -f; sleep 60 ;;
        reboot) result "leaving reboot"; reboot -f; sleep 60 ;;
        panic)
            result "leaving panic"
            echo 1 >/proc/sys/kernel/sysrq
            echo c >/proc/sysrq-trigger
            ;;
        hang) result "leaving hang"; while :; do :; done ;;
        work) work "${2:-10}" ;;
        offline) echo 0 >/sys/devices/system/cpu/cpu1/online && result "cpu1 off" ;;
        online) echo 1 >/sys/devices/system/cpu/cpu1/online && result "cpu1 on" ;;
        drive) drive ;;
        capabilities) capabilities ;;
        poke) poke_it "$2" "$3" "$4" ;;
        ping) result "pong $2" ;;
        interrupts) interrupts "${2:-.}" ;;
        "") ;;
        *) result "unknown-order $1" ;;
    esac
}

# An order on the command line may take several words: do=work,5 then=poweroff
for key in do then finally; do
    order=$(word $key "")
    [ -z "$order" ] || obey $(echo "$order" | tr , ' ')
done
result "listening"
while read -r first second third fourth rest; do
    obey "$first" "$second" "$third" "$fourth"
done
result "console-ended"
