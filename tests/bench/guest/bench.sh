#!/bin/busybox sh
# First process of the benchmark's guest, the same on bare metal and in a domain. Words of the command line:
#   reads=COUNT                 of the drive, at depth 1 and then 32; without a drive there are none
#   rounds=COUNT device=SLOT.FUNCTION   loops of the module, on that function of bus 0
#   settle=SECONDS              virtual time that passes first: the kernel goes on working for a while after boot
/bin/reads mark
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

word() {
    for each in $(cat /proc/cmdline); do
        case $each in "$1="*) echo "${each#*=}"; return ;; esac
    done
    echo "$2"
}

while read -r module; do insmod "/modules/$module"; done </modules/order
drive=/dev/nvme0n1
if grep -q 0x010802 /sys/bus/pci/devices/*/class; then
    left=100
    while [ ! -b $drive ] && [ $left -gt 0 ]; do
        left=$((left - 1))
        usleep 100000
    done
    [ -b $drive ] || echo "RESULT failed no-drive"
fi
sleep "$(word settle 10)"

# One by one at depth 1; completions come in bursts at depth 32, so that only many together mean something.
reads=$(word reads 5000)
if [ -b $drive ]; then
    reads $drive 1 1 "$reads" || echo "RESULT failed reads-1"
    reads $drive 32 500 $((reads / 500)) || echo "RESULT failed reads-32"
fi

device=$(word device 03.0)
number=$((0x${device%.*} * 8 + ${device#*.}))
insmod /microcosts.ko "devfn=$number" "rounds=$(word rounds 1000)" || echo "RESULT failed microcosts"
echo "RESULT functions=$(ls /sys/bus/pci/devices | wc -l)"
awk '/nvme0q|microcosts/ { print "RESULT interrupts vector=" $NF " count=" $2 }' /proc/interrupts
dmesg -r | grep -E '^<[0-4]>' | grep -v -E 'taint|signature' | tail -n 5
echo "RESULT done"
poweroff -f
sleep 60
