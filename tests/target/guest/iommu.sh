# Role "iommu": owns an NVMe drive, a network card and edu, and has an SMMU of its own. It obeys orders typed on its
# console, one a line, and says "did ORDER" after each:
#   groups          every group with its devices and its kind of default domain
#   boot            what the SMMU's driver said while booting
#   drive           the question on the drive is right, and fio verifies what it writes
#   card            the file by way of the network card, there and back (see lib/card.sh)
#   stray [ADDRESS] edu is sent to the drive's buffer, and with ADDRESS out of the guest (edu_stray.c)
#                   In a guest without the drive it is sent to where the neighbour's drive may have its buffer.
#   events          the events that the kernel has logged since it was last asked
#   rebind          drive and card are taken from their drivers and given back
#   kexec WORDS     starts the kernel that is on the drive, with these words added to the command line
#   reboot, poweroff
# A device that is not there is left out of groups and rebind.
. /lib/drive.sh
. /lib/card.sh
pci=/sys/bus/pci
list_pci

# slot_of VENDOR DEVICE
slot_of() {
    for dev in $pci/devices/*; do
        [ "$(cat "$dev/vendor") $(cat "$dev/device")" = "$1 $2" ] && basename "$dev" && return
    done
}
nvme_slot=$(slot_of 0x1b36 0x0010)
card_slot=$(slot_of 0x8086 0x10c9)
edu_slot=$(slot_of 0x1234 0x11e8)

groups() {
    for group in /sys/kernel/iommu_groups/*; do
        [ -e "$group" ] || continue
        result "group number=$(basename "$group") type=$(cat "$group/type")" \
            "devices=$(ls "$group/devices" | tr '\n' ,)"
    done
}

# The driver's lines, without the time stamps that differ from boot to boot.
boot() {
    dmesg | sed -n 's/^.*\] *\(arm-smmu-v3 .*\)$/\1/p' | while read -r line; do result "smmu $line"; done
}

# events: each event that the kernel has logged since the last call, with its four words.
seen=0
events() {
    dmesg | awk -v skip=$seen -v role="$role" '
        /arm-smmu-v3 .*event.* received/ {
            match($0, /0x[0-9a-f]+/); id = substr($0, RSTART, RLENGTH); left = 4; words = ""; next }
        left > 0 && match($0, /0x[0-9a-f]+$/) {
            words = words (words == "" ? "" : ",") substr($0, RSTART)
            if (--left == 0 && ++count > skip) printf "RESULT %s event id=%s words=%s\n", role, id, words }'
    seen=$(dmesg | grep -c 'arm-smmu-v3 .*event.* received')
    result "events total=$seen"
}

drive_io() {
    mount_drive
    drive_work "$1"
    set -- $(cat /sys/block/nvme0c0n1/stat 2>/dev/null || cat /sys/block/nvme0n1/stat)
    result "drive verified=yes sha256=$actual bytes_read=$(($3 * 512)) bytes_written=$(($7 * 512))"
    interrupts '^nvme0q'
}

card_io() {
    card_up
    exchange_file
    stat=/sys/class/net/$card/statistics
    result "card verified=$verified bytes_read=$(cat $stat/rx_bytes) bytes_written=$(cat $stat/tx_bytes)"
    interrupts "^$card"
}

# give SLOT DRIVER: whoever has the device gives it up, and the driver gets it.
give() {
    [ ! -e $pci/devices/$1/driver ] || echo "$1" >$pci/devices/$1/driver/unbind
    echo "$2" >$pci/devices/$1/driver_override
    echo "$1" >$pci/drivers/$2/bind || fail "$2 does not take $1"
}

stray() {
    outside=${1:+outside:$1}
    events
    [ "$(basename "$(readlink $pci/devices/$edu_slot/driver)")" = vfio-pci ] || give "$edu_slot" vfio-pci
    inside=unmapped:0xffffd000
    [ -z "$nvme_slot" ] || inside=nvme:$nvme_slot
    edu_stray "$edu_slot" "$inside" || result "stray-failed status=$?"
    usleep 300000
    result "after stray in"
    events
    if [ -n "$outside" ]; then
        edu_stray "$edu_slot" "$outside" || result "stray-failed status=$?"
        usleep 300000
        result "after stray out"
        events
    fi
}

# An unprivileged program's device faults as fast as it can, and the program lets go of it.
flood() {
    [ "$(basename "$(readlink $pci/devices/$edu_slot/driver)")" = vfio-pci ] || give "$edu_slot" vfio-pci
    edu_stray "$edu_slot" flood:0xffffd000 || result "flood-failed status=$?"
}

rebind() {
    if [ -n "$card_slot" ]; then
        echo "$card_slot" >$pci/drivers/igb/unbind
        [ ! -e $pci/devices/$card_slot/driver ] || fail "igb does not let go"
        echo "$card_slot" >$pci/drivers/igb/bind || fail "igb does not take its card again"
    fi
    if [ -n "$nvme_slot" ]; then
        echo "$nvme_slot" >$pci/drivers/nvme/unbind
        [ ! -e $drive ] || fail "the drive is still there"
        echo "$nvme_slot" >$pci/drivers/nvme/bind || fail "nvme does not take its drive again"
        appears ${drive}p2 30
    fi
}

# The next kernel goes into the upper half of the memory. The interrupt controller's tables of this one are in the
# lower half, and Linux tells the next one where they are by way of EFI only, which is not here: a kernel on top of them
# would be changed by the controller, on any machine.
next_kernel() {
    mount_drive
    kilobytes=$(awk '/^MemTotal/ {print $2}' /proc/meminfo)
    from_tree /mnt/kexec usr/sbin/kexec -i -l /mnt/Image --initrd=/mnt/initrd \
        --mem-min=$(printf 0x%x $((0x40000000 + kilobytes * 512))) \
        --command-line="$(cat /proc/cmdline) $*" || fail "kexec does not load the kernel"
    cp -a /mnt/kexec /tmp/kexec
    umount /mnt
    result "leaving kexec"
    from_tree /tmp/kexec usr/sbin/kexec -e
    fail "kexec came back"
}

passes=0
obey() {
    order=$1
    shift
    case $order in
        groups | boot | events | flood | rebind) $order ;;
        drive) passes=$((passes + 1)); drive_io $passes ;;
        card) card_io ;;
        stray) stray "$@" ;;
        kexec) next_kernel "$@" ;;
        poweroff | reboot) result "leaving $order"; sync; $order -f; sleep 60 ;;
        *) result "unknown-order $order" ;;
    esac
    result "did $order"
}

result "listening"
while read -r order; do [ -z "$order" ] || obey $order; done
result "console-ended"
