// A reference to an object: its id, its owner, its size, and where it last lay. It keeps the object.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "holdfast/base/result.h"
#include "holdfast/object_id.h"

namespace holdfast {

class Member;
class Reference;

/// Keeps its object: as long as there is one in any member of the job, the object goes only if it is erased
/// or its owner closes or dies. Copying and dropping are local (an atomic counter); that a process holds its
/// first or has dropped its last is told to the owner, in batches. Equality, order and hash are those of the
/// id.
class ObjectRef {
 public:
  ObjectRef() = default;  ///< refers to nothing; calls that take it fail with invalid
  ObjectRef(const ObjectRef&) = default;
  ObjectRef& operator=(const ObjectRef&) = default;
  /// The one that was moved from refers to nothing.
  ObjectRef(ObjectRef&& other) noexcept { swap(other); }
  ObjectRef& operator=(ObjectRef&& other) noexcept {
    ObjectRef taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~ObjectRef() = default;

  const ObjectId& id() const noexcept { return id_; }
  MemberId owner() const noexcept { return owner_; }
  std::uint64_t size() const noexcept { return size_; }  ///< payload bytes
  explicit operator bool() const noexcept { return owner_incarnation_ != 0; }

  /// True if a get would find the object sealed now. Asks the owner's catalogue: from memory on the same
  /// host, by one read from another. False after the store was closed.
  bool is_ready() const;

  /// About 150 printable characters that Store::redeem turns back into a reference, in any member of the same
  /// job, as often as wanted. The token keeps the object by itself, for LifetimeOptions::token_lifetime of
  /// the owner's. Empty after the store was closed.
  std::string token() const;

  friend bool operator==(const ObjectRef& a, const ObjectRef& b) noexcept { return a.id_ == b.id_; }
  friend auto operator<=>(const ObjectRef& a, const ObjectRef& b) noexcept { return a.id_ <=> b.id_; }

 private:
  friend class Member;
  void swap(ObjectRef& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(size_, other.size_);
    std::swap(location_, other.location_);
    std::swap(owner_incarnation_, other.owner_incarnation_);
    std::swap(owner_, other.owner_);
    std::swap(flags_, other.flags_);
    std::swap(reference_, other.reference_);
  }

  ObjectId id_;
  std::uint64_t size_ = 0;
  std::uint64_t location_ = 0;  ///< in the owner's arena when the reference was made; a hint
  std::uint64_t owner_incarnation_ = 0;
  MemberId owner_;
  std::uint32_t flags_ = 0;  ///< layout of the block, see core/src/block.h
  std::shared_ptr<Reference> reference_;
};

}  // namespace holdfast

template <>
struct std::hash<holdfast::ObjectRef> {
  std::size_t operator()(const holdfast::ObjectRef& ref) const noexcept {
    return std::hash<holdfast::ObjectId>()(ref.id());
  }
};
