// Tables for people.
#pragma once

#include <string>
#include <vector>

namespace penstock::tool {

using Row = std::vector<std::string>;

/// Columns as wide as their widest cell, two blanks between; the last one is not padded.
[[nodiscard]] std::string layout(const std::vector<Row>& rows);

}  // namespace penstock::tool
