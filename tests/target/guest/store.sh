# Role "store": owns an NVMe drive.
#   partition 1 (ext4): question.bin and question.sha256 from the workstation, fio and its
#                       libraries, and in the end answer.txt for the workstation
#   partition 2:        scratch, written and verified by fio
# Words: nonce=… goes into the answer; busy=SECONDS is how long fio goes on at most; a line on the
# console ends it earlier, after the pass that is running.
list_pci
drive=/dev/nvme0n1
appears ${drive}p2 30
mount -t ext4 ${drive}p1 /mnt || fail "cannot mount the first partition"

expected=$(cut -d' ' -f1 /mnt/question.sha256)
actual=$(sha256sum /mnt/question.bin | cut -d' ' -f1)
verified=no
[ "$expected" = "$actual" ] && verified=yes
result "question sha256=$actual verified=$verified bytes=$(stat -c %s /mnt/question.bin)"
[ $verified = yes ] || fail "the file on the drive is not what its checksum says"

# A page that nobody else should ever change; its address goes to the attacker, by the workstation.
canary "$(word nonce none)" /tmp/stop-canary &
canary_pid=$!

fio_root=/mnt/fio
loader=$(ls $fio_root/lib/ld-linux-aarch64.so.1 $fio_root/usr/lib/ld-linux-aarch64.so.1 \
    $fio_root/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1 2>/dev/null | head -n 1)
libraries=$(find $fio_root -name '*.so*' | sed 's,/[^/]*$,,' | sort -u | tr '\n' :)

# One pass: two jobs write 16 MiB each in random order, then read it back and compare every block.
fio_pass() {
    "$loader" --library-path "$libraries" $fio_root/usr/bin/fio --name=verify \
        --filename=${drive}p2 --direct=1 --ioengine=libaio --iodepth=16 --numjobs=2 --thread \
        --size=16m --offset_increment=16m --rw=randwrite --bs=16k --randseed="$1" \
        --verify=crc32c --verify_fatal=1 --do_verify=1 --group_reporting --minimal \
        >/tmp/fio.out 2>&1
}

started=$(date +%s)
limit=$((started + $(word busy 1)))
passes=0
result "busy"
while :; do
    fio_pass $((passes + 1)) || {
        head -n 20 /tmp/fio.out
        fail "fio pass $((passes + 1)) found wrong data or an error"
    }
    passes=$((passes + 1))
    result "fio-pass $passes"
    [ "$(date +%s)" -lt $limit ] || break
    read -r -t 1 order && result "told $order" && break
done
result "fio verified=yes passes=$passes jobs=2 seconds=$(($(date +%s) - started))"

touch /tmp/stop-canary
wait $canary_pid || fail "the canary page has changed"

echo "sha256=$actual nonce=$(word nonce none) passes=$passes" >/mnt/answer.txt
sync
umount /mnt || fail "cannot unmount"
interrupts '^nvme0q'
# With NVMe multipath the path's own device counts, not the one that everybody sees.
set -- $(cat /sys/block/nvme0c0n1/stat 2>/dev/null || cat /sys/block/nvme0n1/stat)
result "io bytes_read=$(($3 * 512)) bytes_written=$(($7 * 512))"
result "done"
