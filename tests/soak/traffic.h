// What one thread of a member does in a soak: everything the store offers, at random, by seed; every byte
// that comes back is looked at. What must not happen ends the process with a message.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "holdfast/holdfast.h"

namespace holdfast::soak {

struct TrafficOptions {
  std::uint64_t seed = 1;
  std::uint32_t thread = 0;           ///< of this member
  std::uint64_t most_held_bytes = 0;  ///< of objects that this thread keeps references to
  std::uint64_t most_pinned_bytes = 0;
  /// Objects are put with parts. Not where the store keeps cached objects: these keep their parts for as long
  /// as nobody needs the room, and it cannot be told when all has gone.
  bool with_parts = false;
};

struct Totals {
  std::uint64_t operations = 0;
  std::uint64_t bytes = 0;   ///< put or got
  std::uint64_t tokens = 0;  ///< redeemed
  std::uint64_t full = 0;    ///< puts and gets that found no room in time
  std::uint64_t lost = 0;    ///< that met a member which was killed

  Totals& operator+=(const Totals& other) noexcept;
};

/// Which member is killed.
inline constexpr std::uint32_t kAllMembers = ~0U;

/// One thread.
class Traffic {
 public:
  Traffic(Store& store, const TrafficOptions& options) noexcept;

  /// `victim`: a member that is killed meanwhile, or kAllMembers; what it owned may be lost.
  void run(TimePoint until, std::optional<std::uint32_t> victim);
  /// Lets go of everything, and erases all names that were given here.
  void let_go();
  /// Takes away what a killed member's names have left with their homes.
  void erase_names_of(std::uint32_t victim);

  /// Since the last call.
  Totals take_totals() noexcept { return std::exchange(totals_, {}); }

 private:
  struct Held {
    ObjectRef ref;
    std::uint64_t seed = 0;
  };
  struct Pinned {
    Pin pin;
    std::uint64_t seed = 0;
  };

  void put();
  void put_named();
  void get();
  void get_range();
  void get_copy();
  void get_overlapped();
  void get_many();
  void get_named();
  void pin();
  void send_token();
  void receive_token();
  void look_at_parts();
  void wait();
  void ask();
  void drop();
  void erase();

  std::uint64_t random_size();
  const Held& any();
  std::uint32_t any_member();
  void hold(ObjectRef ref, std::uint64_t seed);
  void look_at(std::span<const std::byte> bytes, std::uint64_t seed, std::uint64_t offset);
  bool accept(const Error& error, const Held& held, std::string_view what);
  bool accept_lost(const Error& error);
  bool may_be_lost(const ObjectRef& ref) const;
  [[noreturn]] void wrong(std::string_view what, std::string_view why) const;
  Name mail(std::uint32_t from, std::uint32_t to, std::uint64_t slot) const;
  Name shelf(std::uint32_t owner, std::uint64_t slot) const;
  PutOptions put_options();

  std::uint64_t dice(std::uint64_t below);

  Store& store_;
  TrafficOptions options_;
  std::uint64_t random_;
  std::optional<std::uint32_t> victim_;
  std::vector<Held> held_;
  std::uint64_t held_bytes_ = 0;
  std::vector<Pinned> pinned_;
  std::uint64_t pinned_bytes_ = 0;
  /// What was put under names while a member is killed: where a name's home is lost, only a reference can
  /// erase.
  std::vector<ObjectRef> named_;
  std::vector<std::byte> buffer_;
  Totals totals_;
};

}  // namespace holdfast::soak
