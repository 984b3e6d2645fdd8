"""The tools of the whole-system tests, without a board."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest

import console
import disk
import initramfs
from paths import ROOT, Missing

sys.path += [str(ROOT / "tools" / "mutate"), str(ROOT / "tools" / "check")]
import mutants
import names


def test_console_joins_what_was_interrupted():
    heard = console.Console()
    text = ("penstock| hello\r\nstore| RESULT store a=\r\nnet| x\r\nstore> 1 b=2\r\n"
            'penstock| @ memory {"image":5}\r\nstore| ne')
    for at in range(0, len(text), 7):
        heard.feed(text[at:at + 7].encode(), 1.0)
    heard.feed(b"xt\r\n", 2.0)
    assert heard.text("store") == "RESULT store a=1 b=2\nnext"
    assert heard.results("store") == ["store a=1 b=2"]
    assert console.fields(heard.results("store")[0]) == {"a": "1", "b": "2"}
    assert [(event.name, event.fields) for event in heard.events()] == [("memory", {"image": 5})]


def test_console_of_a_bare_board_has_no_prefixes():
    heard = console.Console(only="bare")
    heard.feed(b"store| not a prefix\r\n", 0.0)
    assert heard.text("bare") == "store| not a prefix"


def test_archive_is_what_cpio_reads(tmp_path):
    archive = initramfs.Archive()
    archive.file("a/b/c", b"12345", 0o755)
    archive.link("bin/sh", "busybox")
    out = tmp_path / "x.cpio"
    out.write_bytes(archive.finish())
    names = subprocess.run(["cpio", "-t", "--quiet"], stdin=out.open("rb"), capture_output=True,
                           check=True).stdout.decode().split()
    assert names == ["a", "a/b", "a/b/c", "bin", "bin/sh"]
    subprocess.run(["cpio", "-i", "--quiet"], stdin=out.open("rb"), cwd=tmp_path, check=True)
    assert (tmp_path / "a/b/c").read_bytes() == b"12345"
    assert (tmp_path / "bin/sh").readlink().as_posix() == "busybox"


def module(*depends: str) -> bytes:
    return b"\0license=GPL\0depends=" + ",".join(depends).encode() + b"\0"


def test_modules_come_after_what_they_need():
    tree = {"ext4": module("jbd2", "crc-16"), "jbd2": module(), "crc_16": module(),
            "nvme": module("nvme_core", "jbd2"), "nvme_core": module()}
    order = list(initramfs.insertion_order(("nvme", "ext4", "af_packet"), {"af_packet"}, tree.get))
    assert order == ["nvme_core", "jbd2", "nvme", "crc_16", "ext4"]
    with pytest.raises(Missing):
        initramfs.insertion_order(("absent",), set(), tree.get)


def test_partition_table():
    record = disk.partition_table([(1 << 20, 2 << 20), (4 << 20, 1 << 20)])
    assert record[510:] == b"\x55\xaa"
    assert struct.unpack_from("<II", record, 446 + 8) == (2048, 4096)
    assert struct.unpack_from("<II", record, 462 + 8) == (8192, 2048)


def mutants_of(*lines: str) -> set[str]:
    found = mutants.mutants_of(Path("core/x/y.cpp"), "\n".join(lines))
    return {each.after.strip() for each in found}


def test_mutants_change_decisions_and_drop_statements():
    assert mutants_of("  if (a == 1 && !b) return;") == {
        "if (a != 1 && !b) return;", "if (a == 1 || !b) return;", "if (!(a == 1 && !b)) return;"}
    assert mutants_of("  table.clear(at);") == {";"}
    assert mutants_of("  while (i < n) f(i);") == {"while (i <= n) f(i);", "while (!(i < n)) f(i);"}


def test_mutants_leave_text_comments_and_declarations_alone():
    assert mutants_of("// a == b", '#include "a"', "static_assert(a == b);", "  std::uint32_t x;",
                      "/* a == b", "   a && b */", "enum class X { kA };") == set()
    assert mutants_of('  log("a == b");') == {";"}


def test_mutants_are_drawn_from_every_folder_and_the_same_by_seed():
    one = mutants.mutants_of(Path("core/a/x.cpp"), "  f();\n" * 50)
    other = mutants.mutants_of(Path("core/b/x.cpp"), "  g();\n")
    drawn = mutants.draw({"core/a": one, "core/b": other}, 10, 7)
    assert {each.path.parent.name for each in drawn} == {"a", "b"} and len(drawn) == 11
    assert drawn == mutants.draw({"core/a": one, "core/b": other}, 10, 7)
    assert len({(each.path, each.line) for each in drawn}) == len(drawn)


def test_names_in_comments_and_documents_that_are_not_there_are_found():
    house, reader = names.Repository(), Path("core/mem/page_pool.cpp")
    assert names.missing(house, reader, "x();  // as page_pool.hpp says, see core/mem/page_pool.hpp") == []
    assert names.missing(house, reader, "// see core/mem/absent.hpp") == ["core/mem/absent.hpp"]
    assert names.missing(house, reader, "// nobody_has_this() does") == ["nobody_has_this()"]
    assert names.missing(house, reader, "// Linux's nobody_has_this() does") == []
    assert names.missing(house, reader, "nobody_has_this();") == []
    assert names.missing(house, Path("README.md"), "[a](docs/absent) [b](docs)") == ["link to docs/absent"]
