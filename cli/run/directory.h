// The private rendezvous directory of one run.
#pragma once

#include <string>

#include "holdfast/base/file.h"
#include "holdfast/base/result.h"

namespace holdfast::run {

/// A new directory with mode 0700, locked for as long as this lives. Whoever finds one that is not locked
/// knows that its run was killed. Does not remove the directory: remove_directory() does.
class Directory {
 public:
  /// Makes one in `parent`, after removing what killed runs of this user on this host left there.
  /// Errors: denied, system.
  static Result<Directory> make(const std::string& parent);
  const std::string& path() const { return path_; }

 private:
  Directory(std::string path, File lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  File lock_;
};

/// Removes a rendezvous directory and the files in it. Async-signal-unsafe; errors are passed over.
void remove_directory(const std::string& path);

}  // namespace holdfast::run
