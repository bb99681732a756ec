// Where things lie in memory, for tests that overwrite them.
#pragma once

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "holdfast/holdfast.h"
#include "src/block.h"
#include "src/catalogue.h"
#include "tests/core/expect.h"

namespace holdfast::test {

/// Where the payload lies, to be written as only a stray pointer of the owner's would.
inline std::byte* payload_of(Store& store, const ObjectRef& ref) {
  return const_cast<std::byte*>(
      store.get(ref, Duration::zero(), {.verify = Verify::never}).value().bytes().data());
}
inline std::byte* block_of(Store& store, const ObjectRef& ref) {
  const BlockLayout layout{ref.size(), BlockLayout::make_flags(true, 64)};
  return payload_of(store, ref) - layout.payload_offset();
}

/// An object's entry line, or that of a name it has: key and id in a row, in the mapping of its payload.
inline std::byte* entry_of(Store& store, const ObjectRef& ref, const Key& key) {
  const auto inside = reinterpret_cast<std::uintptr_t>(payload_of(store, ref));
  std::ifstream maps("/proc/self/maps");
  for (std::string text; std::getline(maps, text);) {
    std::uintptr_t first = 0, last = 0;
    char dash = 0;
    std::istringstream(text) >> std::hex >> first >> dash >> last;
    if (inside < first || inside >= last) continue;
    for (std::uintptr_t line = first; line < last; line += sizeof(CatalogueLine)) {
      const auto* const words = reinterpret_cast<const std::uint64_t*>(line);
      if (words[1] == key.high && words[2] == key.low && words[3] == ref.id().high &&
          words[4] == ref.id().low)
        return reinterpret_cast<std::byte*>(line);
    }
  }
  ADD_FAILURE() << "no entry found";
  std::abort();
}
inline std::byte* entry_of(Store& store, const ObjectRef& ref) {
  return entry_of(store, ref, {ref.id().high, ref.id().low, Key::Kind::object});
}

}  // namespace holdfast::test
