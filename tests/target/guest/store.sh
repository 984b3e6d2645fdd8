# Role "store": owns an NVMe drive.
#   partition 1 (ext4): question.bin and question.sha256 from the workstation, fio and its
#                       libraries, and in the end answer.txt for the workstation
#   partition 2:        scratch, written and verified by fio
# Words: nonce=… goes into the answer; busy=SECONDS is how long fio goes on at most; a line on the
# console ends it earlier, after the pass that is running.
. /lib/drive.sh
list_pci
mount_drive
verify_question
result "question sha256=$actual verified=$verified bytes=$(stat -c %s /mnt/question.bin)"
[ $verified = yes ] || fail "the file on the drive is not what its checksum says"

# A page that nobody else should ever change; its address goes to the attacker, by the workstation.
canary "$(word nonce none)" /tmp/stop-canary &
canary_pid=$!

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
