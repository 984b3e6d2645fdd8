// The scripts of completion/, which CMake writes into the program.
#pragma once

#include <string_view>

namespace penstock::ctl::completion {

extern const std::string_view kBash;
extern const std::string_view kZsh;

}  // namespace penstock::ctl::completion
