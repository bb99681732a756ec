// Which of a set of objects goes first when room is needed. The owner of an arena keeps two such sets:
// objects that nobody references, which are dropped, and referenced ones, which are spilled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "holdfast/options.h"

namespace holdfast {

/// A set of objects, coldest out first. Keys are numbers of objects; bytes are the room that taking the
/// object out frees. Every call is O(1) amortised, a hit allocates nothing; memory stays at what the largest
/// set took. Not thread-safe: under the owner's lock.
class EvictionPolicy {
 public:
  EvictionPolicy() = default;
  EvictionPolicy(const EvictionPolicy&) = delete;
  EvictionPolicy& operator=(const EvictionPolicy&) = delete;
  virtual ~EvictionPolicy() = default;

  /// `key` is not in the set; stops the process if it is.
  virtual void insert(std::uint64_t key, std::uint64_t bytes) = 0;

  /// The object was used. Ignored where it is not in the set: hints of other members come late.
  virtual void hit(std::uint64_t key) noexcept = 0;

  /// Takes the object out for another reason than eviction; whatever the policy remembers of it is forgotten,
  /// too. False if it was not in the set.
  virtual bool erase(std::uint64_t key) noexcept = 0;

  /// Takes the object out because it is used: nobody is to evict it while somebody holds it. That it comes
  /// back is a use, for a policy that counts them. Ignored where it is not in the set.
  virtual void set_aside(std::uint64_t key) noexcept = 0;

  /// Takes out the one to go first. Nothing if the set is empty.
  virtual std::optional<std::uint64_t> evict() noexcept = 0;

  virtual std::size_t size() const noexcept = 0;
  virtual std::uint64_t bytes() const noexcept = 0;  ///< the sum over the set
};

/// `capacity_bytes`: the room that the set may come to fill; bounds what a policy remembers of evicted
/// objects.
std::unique_ptr<EvictionPolicy> make_eviction_policy(Eviction kind, std::uint64_t capacity_bytes);

}  // namespace holdfast
