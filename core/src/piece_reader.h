// Several one-sided reads in flight, taken in the order they were given.
#pragma once

#include <algorithm>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "holdfast/base/task.h"
#include "src/card.h"
#include "src/channel.h"

namespace holdfast {

/// A contiguous read: `source` is an offset in the owner's arena.
struct Piece {
  RegionKey region;  ///< in which it lies
  std::uint64_t source = 0;
  std::span<std::byte> into;
  std::shared_ptr<void> hold;  ///< keeps `into`
};

/// Lives in a coroutine's frame; co_await drain() before the frame goes, whatever happened.
class PieceReader {
 public:
  static constexpr std::size_t kMostDepth = 32;

  /// At most `depth` are in flight.
  PieceReader(Channel& channel, fabric::PeerId peer, Deadline deadline, std::size_t depth) noexcept;
  PieceReader(const PieceReader&) = delete;
  PieceReader& operator=(const PieceReader&) = delete;

  std::size_t depth() const noexcept { return depth_; }

  /// Starts the next read. Its number is one more than the last one's; the caller keeps at most depth()
  /// numbers not yet awaited.
  void start(const Piece& piece);
  /// The same for stretches of one region that land one after the other in `into`, with one request: at most
  /// the fabric's max_gather, their offsets in the region. `source` is not looked at.
  void start(const Piece& piece, std::span<const fabric::Stretch> gather);

  /// co_await it: how read `number` ended.
  struct Awaiter {
    PieceReader& reader;
    std::size_t number;
    bool await_ready() const noexcept { return reader.slot(number).done; }
    void await_suspend(std::coroutine_handle<> waiting) noexcept { reader.slot(number).waiting = waiting; }
    Status await_resume() const { return reader.slot(number).status; }
  };
  Awaiter wait(std::size_t number) noexcept { return {*this, number}; }

  bool in_flight() const noexcept {
    return std::ranges::any_of(slots_, [](const Slot& one) { return !one.done; });
  }
  /// Waits for all that are in flight.
  Task<void> drain();

 private:
  struct Slot final : fabric::Completion {
    void complete(Status ended) override {
      status = std::move(ended);
      done = true;
      if (waiting) std::exchange(waiting, {}).resume();
    }
    bool done = true;
    Status status;
    std::coroutine_handle<> waiting;
  };
  Slot& slot(std::size_t number) noexcept { return slots_[number % depth_]; }

  Channel& channel_;
  fabric::PeerId peer_;
  Deadline deadline_;
  std::size_t depth_;
  std::size_t started_ = 0;
  std::vector<Slot> slots_;  // depth_ of them
};

}  // namespace holdfast
