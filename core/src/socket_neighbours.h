// Members on the same host: they hand each other descriptors of their memory over a Unix socket that checks
// who asks, and notice each other's end by the socket's hang-up.
//
// A reader attaches to an owner: it passes its ledger, the owner notes it, then passes its segments. So there
// is no moment in which the reader could pin and the owner not know where to look. The connection stays open;
// when it closes, the owner forgets the ledger, and the reader knows that the owner has gone.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "holdfast/base/file.h"
#include "holdfast/numa/arena.h"
#include "src/attach_attempt.h"
#include "src/descriptor_message.h"
#include "src/neighbours.h"

namespace holdfast {

class SocketNeighbours final : public Neighbours {
 public:
  struct Identity {
    std::string job;
    MemberId rank;
    std::uint64_t incarnation = 0;
  };

  /// Listens on a socket of its own in the abstract namespace (nothing is left behind in any file system) and
  /// starts the thread that serves it. `arena` and `ledger` outlive this object. Errors: system.
  static Result<std::unique_ptr<SocketNeighbours>> start(Identity identity, const numa::Arena& arena,
                                                         const Ledger& ledger);
  ~SocketNeighbours() override;

  const std::string& socket_name() const noexcept { return socket_name_; }

  void attach(MemberId rank, const Card& card, Attached attached) override;
  void watch(View* view) override;
  bool pinned(const PinnedBlock& block) const override;
  std::vector<std::string> pinning(const PinnedBlock& block) const override;
  std::vector<std::uint64_t> pinned_locations(MemberId owner) const override;

  /// Who answers why() for an object of this member, until it is set to nothing.
  void set_answerer(std::function<std::string(const ObjectId&)> answerer);
  std::uint64_t lost() const noexcept override { return lost_.load(std::memory_order_relaxed); }

 private:
  struct Reader {
    File connection;
    numa::ReadOnlyMapping ledger;  ///< empty until its hello came
    bool attached() const noexcept { return ledger.base() != nullptr; }
  };

  SocketNeighbours(Identity identity, const numa::Arena& arena, const Ledger& ledger);
  void serve();
  bool begin_attempts();
  void note_lost(View* view);
  void accept_one();
  std::optional<std::chrono::milliseconds> pause_left();
  void pause(int error);
  bool serve_first(Reader& reader);
  bool serve_hello(Reader& reader, const DescriptorMessage& hello);
  void answer(const Reader& reader, const DescriptorMessage& question);

  Identity identity_;
  const numa::Arena& arena_;
  const Ledger& ledger_;
  std::string socket_name_;
  File listener_;
  File wake_;
  mutable std::shared_mutex readers_mutex_;
  std::list<Reader> readers_;
  std::mutex attempts_mutex_;
  std::vector<AttachAttempt> new_attempts_;
  std::list<AttachAttempt> attempts_;  ///< the thread's alone
  std::mutex watched_mutex_;
  std::vector<View*> watched_;
  std::function<std::string(const ObjectId&)> answerer_;  ///< under watched_mutex_
  /// Nothing that takes a descriptor is done before. The thread's alone, as is the next.
  std::optional<TimePoint> paused_until_;
  bool told_of_pause_ = false;
  std::atomic<std::uint64_t> lost_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace holdfast
