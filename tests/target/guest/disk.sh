# Role "disk": writes random bytes to a drive of any kind and reads them back past every cache.
drive=/dev/$(word drive vda)
appears "$drive" 60
list_pci
dd if=/dev/urandom of=/dev/shm/wrote bs=64k count=64 2>/dev/null
dd if=/dev/shm/wrote of="$drive" bs=64k oflag=direct 2>/dev/null || fail "cannot write to $drive"
sync
echo 3 >/proc/sys/vm/drop_caches
dd if="$drive" of=/dev/shm/read bs=64k count=64 iflag=direct 2>/dev/null || fail "cannot read $drive"
cmp -s /dev/shm/wrote /dev/shm/read || fail "$drive gives back something else"
result "verified bytes=$(stat -c %s /dev/shm/read)"
interrupts virtio
sync
poweroff -f
sleep 60
