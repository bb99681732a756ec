#include "src/eviction.h"

#include "holdfast/base/check.h"
#include "src/eviction_slab.h"
#include "src/s3_fifo.h"

namespace holdfast {
namespace {

class Lru final : public EvictionPolicy {
 public:
  void insert(std::uint64_t key, std::uint64_t bytes) override {
    HOLDFAST_CHECK(slab_.find(key) == EvictionSlab::kNone, "an object was put into an eviction set twice");
    slab_.append(used_, slab_.add(key, bytes));
  }

  void hit(std::uint64_t key) noexcept override {
    const EvictionSlab::Place place = slab_.find(key);
    if (place == EvictionSlab::kNone || place == used_.newest) return;
    slab_.take(used_, place);
    slab_.append(used_, place);
  }

  bool erase(std::uint64_t key) noexcept override {
    const EvictionSlab::Place place = slab_.find(key);
    if (place == EvictionSlab::kNone) return false;
    remove(place);
    return true;
  }

  /// It comes back as the one used last: that is all there is to know.
  void set_aside(std::uint64_t key) noexcept override { (void)erase(key); }

  std::optional<std::uint64_t> evict() noexcept override {
    if (used_.count == 0) return std::nullopt;
    const EvictionSlab::Place oldest = used_.oldest;
    const std::uint64_t key = slab_[oldest].key;
    remove(oldest);
    return key;
  }

  std::size_t size() const noexcept override { return used_.count; }
  std::uint64_t bytes() const noexcept override { return used_.bytes; }

 private:
  void remove(EvictionSlab::Place place) noexcept {
    slab_.take(used_, place);
    slab_.remove(place);
  }

  EvictionSlab slab_;
  EvictionQueue used_;  ///< in the order of last use
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_eviction_policy(Eviction kind, std::uint64_t capacity_bytes) {
  switch (kind) {
    case Eviction::lru:
      return std::make_unique<Lru>();
    case Eviction::s3_fifo:
      return std::make_unique<S3Fifo>(capacity_bytes);
  }
  check_failed(__FILE__, __LINE__, "kind", "no such eviction policy");
}

}  // namespace holdfast
