#include "src/piece_reader.h"

#include <algorithm>

namespace holdfast {

PieceReader::PieceReader(Channel& channel, fabric::PeerId peer, Deadline deadline, std::size_t depth) noexcept
    : channel_(channel),
      peer_(peer),
      deadline_(deadline),
      depth_(std::clamp<std::size_t>(depth, 1, kMostDepth)),
      slots_(depth_) {}

void PieceReader::start(const Piece& piece) { start(piece, {}); }

void PieceReader::start(const Piece& piece, std::span<const fabric::Stretch> gather) {
  Slot& next = slot(started_++);
  HOLDFAST_CHECK(next.done, "more reads in flight than the reader's depth");
  if (channel_.closing()) {
    next.status = channel_.closed_status();
    return;
  }
  next.done = false;
  next.status = {};
  fabric::ReadRequest request;
  request.peer = peer_;
  request.from = piece.region.memory;
  request.offset = piece.source - piece.region.first;
  request.gather = gather;
  request.into = piece.into;
  request.hold = piece.hold;
  request.deadline = deadline_;
  channel_.endpoint().read(request, next);
}

Task<void> PieceReader::drain() {
  for (std::size_t number = started_ - std::min(started_, depth_); number < started_; ++number) {
    Awaiter ended = wait(number);
    co_await ended;
  }
}

}  // namespace holdfast
