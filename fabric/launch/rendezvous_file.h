// One file of a rendezvous directory: written whole or not at all, and recognised when it is torn, or of
// another job, or of another user.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/base/result.h"

namespace holdfast::fabric::launch {

enum class Note : std::uint8_t {
  card,  ///< what a rank gives to the others
  seen,  ///< which cards a rank has read
};

/// What a file says. Its bytes: magic, the fields, job, body, and a checksum over all of it.
struct RendezvousFile {
  Note note = Note::card;
  std::uint32_t rank = 0;
  std::uint32_t size = 0;
  std::uint64_t nonce = 0;  ///< drawn anew for each exchange of each process
  std::string job;
  std::string body;

  std::string encode() const;
  /// Nothing where the bytes are not a whole file.
  static std::optional<RendezvousFile> decode(std::string_view bytes);
};

/// What a directory entry may be called.
struct RendezvousName {
  Note note = Note::card;
  std::uint32_t rank = 0;
};

/// "holdfast.<digest of the job>.<round>.<rank>.card"; rounds count the exchanges of one process.
class RendezvousNames {
 public:
  RendezvousNames(std::string_view job, std::uint32_t round);
  std::string file(Note note, std::uint32_t rank) const;
  /// Nothing where `entry` is not of this job and round.
  std::optional<RendezvousName> parse(std::string_view entry) const;

 private:
  std::string prefix_;
};

/// Puts `bytes` under `name` in one step: readers see the former file or all of this one. Returns the user
/// the file belongs to (on a network file system not always this process's). Errors: denied, system.
Result<uid_t> publish(int directory, std::string_view name, std::string_view bytes);

/// The bytes of a regular file of `owner`'s; nothing where it has gone, is another kind or another user's, or
/// is larger than any rendezvous file.
std::optional<std::string> read_published(int directory, const std::string& name, uid_t owner);

}  // namespace holdfast::fabric::launch
