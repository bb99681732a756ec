// Gets from memory, of one's own objects or a neighbour's: the same cases for both.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "holdfast/holdfast.h"

namespace holdfast::bench {

struct GetFromMemory {
  Store* store = nullptr;
  std::vector<ObjectRef> refs;  ///< gone through in turn
};

/// Cases `prefix`/8, `prefix`/1024, each verified and not. The limit is what no pin announced to another
/// process can do without: one sequentially consistent exchange, and the checksum of the payload where it is
/// verified. `prepare(bytes)` is called when a case is first run.
void add_get_cases(const std::string& prefix, const Goal& goal,
                   const std::function<Result<GetFromMemory>(std::uint64_t bytes)>& prepare);

}  // namespace holdfast::bench
