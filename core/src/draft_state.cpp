#include "src/draft_state.h"

#include <utility>

#include "src/mutation.h"

namespace holdfast {

DraftState::DraftState(std::weak_ptr<Member> of, std::shared_ptr<LocalMemory> in, const ObjectId& as,
                       const BlockLayout& like, const Block& at)
    : member(std::move(of)), memory(std::move(in)), id(as), layout(like), block(at) {
  memory->count_put(block);
  // What lay here before must not be taken for an object while it is written.
  spoil_header(block.address);
}

DraftState::~DraftState() {
  if (!sealed && !HOLDFAST_MUTATION(leak_unsealed_draft)) memory->free(block);
}

}  // namespace holdfast
