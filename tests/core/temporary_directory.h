// A directory for one test.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "holdfast/base/check.h"

namespace holdfast::test {

/// Goes with all that is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string folder = testing::TempDir() + "holdfast-spill-XXXXXX";
    HOLDFAST_CHECK(::mkdtemp(folder.data()) != nullptr, "no temporary directory");
    path_ = folder;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
      names.push_back(entry.path().filename());
    std::ranges::sort(names);
    return names;
  }
  /// The only file there.
  std::string only_file() const {
    const auto names = files();
    EXPECT_EQ(names.size(), 1u);
    return names.empty() ? path_ : path_ + "/" + names.front();
  }

 private:
  std::string path_;
};

}  // namespace holdfast::test
