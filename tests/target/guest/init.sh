#!/bin/busybox sh
# First process of a guest: file systems, modules, words of the command line, then the role.
# Lines that begin with "RESULT " are what the workstation reads; everything else is for people.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm

# word KEY DEFAULT: the value of KEY=… on the kernel's command line.
word() {
    for each in $(cat /proc/cmdline); do
        case $each in "$1="*) echo "${each#*=}"; return ;; esac
    done
    echo "$2"
}

role=$(word role shell)

result() { echo "RESULT $role $*"; }

# A guest that cannot go on says so and leaves: nobody has to wait for a deadline.
fail() {
    result "failed $*"
    sync
    poweroff -f
    sleep 60
}

# appears PATH SECONDS
appears() {
    left=$(($2 * 10))
    while [ ! -e "$1" ]; do
        left=$((left - 1))
        [ $left -gt 0 ] || fail "waited $2 s for $1"
        usleep 100000
    done
}

# All functions that this guest sees, with the driver of each.
list_pci() {
    count=0
    for dev in /sys/bus/pci/devices/*; do
        [ -e "$dev" ] || continue
        count=$((count + 1))
        driver=none
        [ -e "$dev/driver" ] && driver=$(basename "$(readlink "$dev/driver")")
        id=$(cut -c3- "$dev/vendor"):$(cut -c3- "$dev/device")
        result "pci slot=$(basename "$dev") id=$id" \
            "class=$(cat "$dev/class") driver=$driver"
    done
    result "pci-count $count"
}

# interrupts PATTERN: one line for each vector whose name matches, summed over the CPUs. The name is
# the line's last word; the counts are the numbers between the colon and the controller's name.
interrupts() {
    awk -v role="$role" -v pattern="$1" '
        $NF ~ pattern { sum = 0
            for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) sum += $i
            printf "RESULT %s irq vector=%s controller=%s count=%d\n", role, $NF, $i, sum
        }' /proc/interrupts
}

while read -r module; do
    insmod "/modules/$module" || result "insmod-failed $module"
done </modules/order

memory=$(awk '/^MemTotal/ {print $2}' /proc/meminfo)
result "up kernel=$(uname -r) cpus=$(nproc) memory-kib=$memory"
. /role
sync
poweroff -f
sleep 60
