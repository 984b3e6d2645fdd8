# What a role with an NVMe drive uses: fio from the drive's first partition, mounted on /mnt, writes and verifies its
# second one.
drive=/dev/nvme0n1

mount_drive() {
    appears ${drive}p2 30
    mount -t ext4 ${drive}p1 /mnt || fail "cannot mount the first partition"
}

# Compares the question with its checksum; leaves `actual` and `verified`.
verify_question() {
    expected=$(cut -d' ' -f1 /mnt/question.sha256)
    actual=$(sha256sum /mnt/question.bin | cut -d' ' -f1)
    verified=no
    [ "$expected" = "$actual" ] && verified=yes
    return 0
}

# from_tree TREE PROGRAM ARGUMENTS: a dynamically linked program of a tree with its own libraries and loader.
from_tree() {
    root=$1
    program=$2
    shift 2
    loader=$(ls $root/lib/ld-linux-aarch64.so.1 $root/usr/lib/ld-linux-aarch64.so.1 \
        $root/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1 2>/dev/null | head -n 1)
    libraries=$(find $root -name '*.so*' | sed 's,/[^/]*$,,' | sort -u | tr '\n' :)
    "$loader" --library-path "$libraries" $root/$program "$@"
}

# One pass: two jobs write 16 MiB each in random order, then read it back and compare every block.
fio_pass() {
    from_tree /mnt/fio usr/bin/fio --name=verify \
        --filename=${drive}p2 --direct=1 --ioengine=libaio --iodepth=16 --numjobs=2 --thread \
        --size=16m --offset_increment=16m --rw=randwrite --bs=16k --randseed="$1" \
        --verify=crc32c --verify_fatal=1 --do_verify=1 --group_reporting --minimal \
        >/tmp/fio.out 2>&1
}

# drive_work PASS: the question verified, one pass of fio, the answer for the workstation; the drive is mounted before and
# not after.
drive_work() {
    verify_question
    [ $verified = yes ] || fail "the file on the drive is not what its checksum says"
    fio_pass "$1" || {
        head -n 20 /tmp/fio.out
        fail "fio found wrong data or an error"
    }
    echo "sha256=$actual nonce=$(word nonce none) pass=$1" >/mnt/answer.txt
    sync
    umount /mnt || fail "cannot unmount"
}
