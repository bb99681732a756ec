// Objects of one size that go to disk and come back through a store: more than its arena keeps.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "holdfast/holdfast.h"

namespace holdfast::bench {

class StoreObjects {
 public:
  /// A store of its own that spills to `directory`, with `bytes` of objects. Errors: as Store::open and
  /// Store::put.
  static Result<std::unique_ptr<StoreObjects>> open(const std::string& directory, std::uint64_t size,
                                                    std::uint64_t bytes);

  /// Puts all of them anew, each in the place of an old one: as much goes to disk. Bytes a second.
  Result<double> spill();
  /// Gets all of them, the next ones prefetched while some are got. Bytes a second. Errors: those of the
  /// gets; system (they did not come from disk).
  Result<double> restore();

 private:
  StoreObjects(Store store, std::uint64_t size, std::uint64_t bytes);

  Store store_;
  const std::uint64_t size_;
  std::vector<std::byte> source_;
  std::vector<ObjectRef> refs_;
};

}  // namespace holdfast::bench
