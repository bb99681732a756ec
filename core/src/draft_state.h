// What a Draft holds.
#pragma once

#include <memory>
#include <vector>

#include "holdfast/base/clock.h"
#include "holdfast/object_id.h"
#include "src/block.h"
#include "src/local_memory.h"
#include "src/references.h"

namespace holdfast {

class Member;

/// Its memory goes back when it is destroyed unsealed, also after the store was closed.
struct DraftState {
  DraftState(std::weak_ptr<Member> of, std::shared_ptr<LocalMemory> in, const ObjectId& as,
             const BlockLayout& like, const Block& at);
  ~DraftState();
  DraftState(const DraftState&) = delete;
  DraftState& operator=(const DraftState&) = delete;

  std::weak_ptr<Member> member;
  std::shared_ptr<LocalMemory> memory;
  ObjectId id;
  BlockLayout layout;
  Block block;
  std::vector<Part> parts;
  Duration timeout{};     ///< for the name
  bool promised = false;  ///< a reference was given out
  bool sealed = false;
};

}  // namespace holdfast
