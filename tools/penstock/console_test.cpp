#include "tools/penstock/console.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tools/penstock/test_files.hpp"
#include "tools/penstock/view.hpp"

namespace penstock::tool {
namespace {

using ::testing::ElementsAre;
using Line = std::pair<std::string, std::string>;

struct Heard {
  std::vector<Line> lines;
  std::string pieces;  // "source:text" with '/' where a line begins

  ConsoleSplitter::Sink sink() {
    return {[this](std::string_view source, std::string_view text, bool new_line) {
              pieces += new_line ? "/" : "";
              pieces += std::string(source) + ":" + std::string(text) + " ";
            },
            [this](std::string_view source, std::string_view line) {
              lines.emplace_back(source, line);
            }};
  }
};

std::vector<Line> split(std::string_view bytes, std::size_t chunk = 1000) {
  Heard heard;
  ConsoleSplitter splitter({"store", "net"}, heard.sink());
  for (std::size_t i = 0; i < bytes.size(); i += chunk) splitter.feed(bytes.substr(i, chunk));
  splitter.finish();
  return heard.lines;
}

TEST(Console, LinesBelongToTheirSources) {
  EXPECT_THAT(split("penstock| hello\r\nstore| one\r\nnet| two\r\nstore| three\r\n"),
              ElementsAre(Line("penstock", "hello"), Line("store", "one"), Line("net", "two"),
                          Line("store", "three")));
}

TEST(Console, InterruptedLinesAreJoined) {
  EXPECT_THAT(split("store| login\r\nnet| x\r\nstore> : root\r\nnet> y\r\nstore| next\r\n"),
              ElementsAre(Line("store", "login: root"), Line("net", "xy"), Line("store", "next")));
}

TEST(Console, AnyCutOfTheStreamGivesTheSameLines) {
  const std::string bytes =
      "penstock| @ end {}\r\nstore| a| b> c\r\nnet| \r\nstore> d\r\nfirmware says hi\r\n"
      "storeroom\r\npen\r\nnet| last";
  const auto whole = split(bytes);
  for (std::size_t chunk = 1; chunk < bytes.size(); ++chunk) EXPECT_EQ(split(bytes, chunk), whole);
}

TEST(Console, TextWithoutASourceIsTheBoards) {
  EXPECT_THAT(
      split("PANIC: x\r\npenstoc\r\npenstock| y\r\n\r\n"),
      ElementsAre(Line("board", "PANIC: x"), Line("board", "penstoc"), Line("penstock", "y")));
}

TEST(Console, AGuestCannotSpeakForAnother) {
  EXPECT_THAT(
      split("store| net| RESULT forged\r\nstore| penstock| @ end {}\r\n"),
      ElementsAre(Line("store", "net| RESULT forged"), Line("store", "penstock| @ end {}")));
}

TEST(Console, AContinuationOfNothingIsALine) {
  EXPECT_THAT(split("store> x\r\n"), ElementsAre(Line("store", "x")));
}

TEST(Console, APromptAppearsAtOnce) {
  Heard heard;
  ConsoleSplitter splitter({"store"}, heard.sink());
  splitter.feed("store| ~ # ");
  EXPECT_EQ(heard.pieces, "/store: store:~ #  ");
  splitter.feed("ls");
  EXPECT_EQ(heard.pieces, "/store: store:~ #  store:ls ");
  EXPECT_TRUE(heard.lines.empty());
}

TEST(Console, TheHypervisorsLinesAreCompleteAtOnce) {
  Heard heard;
  ConsoleSplitter splitter({"store"}, heard.sink());
  splitter.feed("penstock| @ end {}\r\n");
  EXPECT_THAT(heard.lines, ElementsAre(Line("penstock", "@ end {}")));
}

TEST(Console, PrintableTextMovesNoCursor) {
  EXPECT_EQ(printable("a\x1b[2Jb\tc\x7f\x01\nd\r"), "a^[[2Jb c^?^A^Jd^M");
}

TEST(Console, PrintableStreamPassesLineEndsWhereverItIsCut) {
  const std::string text = "one\r\ntwo\n\x1b[1Athree\rpaint\xe2\x80\xa6\x9b\r\n";
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    PrintableStream stream;
    const std::string first = stream.put(std::string_view(text).substr(0, cut));
    EXPECT_EQ(first + stream.put(std::string_view(text).substr(cut)),
              "one\r\ntwo\n^[[1Athree^Mpaint\xe2\x80\xa6\\x9b\r\n");
  }
}

TEST(View, TextOfTheBoardMovesNoCursor) {
  LiveView view({"store"}, false);
  std::string shown = view.piece("board", "", true) + view.piece("board", "a\x1b[1Ab\xc3", false);
  shown += view.piece("board", "", true) + view.piece("board", "c", false);
  EXPECT_EQ(shown, "board    | a^[[1Ab\r\nboard    | c");
}

TEST(View, LogsJoinWhatWasInterrupted) {
  const test::Folder folder;
  SourceLogs logs(folder.path(), {"store", "net"});
  ConsoleSplitter splitter({"store", "net"},
                           {[&](auto s, auto t, bool n) { logs.piece(s, t, n); }, {}});
  splitter.feed("store| log\r\nnet| x\r\nstore> in\r\nstore| two\r\n");
  logs.finish();
  EXPECT_EQ(test::text_of(folder.path() / "store.log"), "login\ntwo\n");
  EXPECT_EQ(test::text_of(folder.path() / "net.log"), "x\n");
}

TEST(View, ShowsEachLineBehindItsSource) {
  LiveView view({"store", "net"}, false);
  std::string shown;
  ConsoleSplitter splitter({"store", "net"},
                           {[&](auto s, auto t, bool n) { shown += view.piece(s, t, n); }, {}});
  splitter.feed("store| log\r\nnet| x\r\nstore> in\r\n");
  shown += view.finish();
  EXPECT_EQ(shown, "store    | log\r\nnet      | x\r\nstore    | in\r\n");
}

}  // namespace
}  // namespace penstock::tool
