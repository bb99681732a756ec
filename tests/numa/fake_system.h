// A tree of files as the kernel would show them, in a folder of its own that goes with it.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "holdfast/numa/system_files.h"

namespace holdfast::numa {

class FakeSystem {
 public:
  FakeSystem() {
    std::string folder = testing::TempDir() + "holdfast-system-XXXXXX";
    if (::mkdtemp(folder.data()) != nullptr) root_ = folder;
  }
  ~FakeSystem() {
    std::error_code ignored;
    if (!root_.empty()) std::filesystem::remove_all(root_, ignored);
  }
  FakeSystem(const FakeSystem&) = delete;
  FakeSystem& operator=(const FakeSystem&) = delete;

  void write(std::string_view path, std::string_view text) const {
    const std::filesystem::path file = root_ + std::string(path);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  std::string path(std::string_view path) const { return root_ + std::string(path); }
  SystemFiles files() const { return SystemFiles(root_); }

 private:
  std::string root_;
};

}  // namespace holdfast::numa
