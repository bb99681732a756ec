#include "src/get_remote.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "holdfast/base/checksum.h"
#include "src/block.h"
#include "src/mutation.h"
#include "src/piece_reader.h"

namespace holdfast {
namespace {

constexpr std::string_view kOperation = "Store::get";

// A line that is torn each time this often, and for this long, is not being written: it is damaged. Its owner
// may have lost its core while it wrote, for longer than many reads take.
constexpr int kLookAttempts = 64;
constexpr Duration kLookPatience = std::chrono::milliseconds(500);

// How often a get that found no room to land looks again.
constexpr Duration kRoomInterval = std::chrono::milliseconds(2);

/// One of the lines says so: its owner may have been stopped meanwhile, for however long.
bool is_being_changed(std::span<const std::byte> lines) {
  for (; !lines.empty(); lines = lines.subspan(sizeof(CatalogueLine)))
    if ((std::to_integer<unsigned>(lines.front()) & 1) != 0) return true;
  return false;
}

/// How a read of an object, or of a part, is cut: the head (header and table), then whole chunks.
struct Cut {
  std::uint64_t head_bytes = 0;  ///< header and table, or up to the payload where chunk 0 is wanted, too
  std::uint64_t first_chunk = 0;
  std::uint64_t last_chunk = 0;  ///< not included
  std::uint64_t chunk = 1;
  std::uint64_t piece_chunks = 1;  ///< a read's worth
  std::uint64_t payload_from = 0;  ///< of the chunks wanted, in the payload
  std::uint64_t payload_bytes = 0;
  std::uint64_t pieces = 0;  ///< of payload
  bool head_joined = false;  ///< the first piece begins with the head
  /// By checksums. What is not is the object's if its header was the same before the first byte of payload
  /// was asked for and after the last had come: no order of the bytes of one read is promised.
  bool checked = true;

  std::uint64_t piece_first(std::uint64_t piece) const noexcept { return first_chunk + piece * piece_chunks; }
  std::uint64_t piece_last(std::uint64_t piece) const noexcept {
    return std::min(last_chunk, piece_first(piece) + piece_chunks);
  }
};

Cut cut_read(const BlockLayout& layout, const ByteRange& range, const Want& want,
             const fabric::FabricInfo& info) {
  Cut cut;
  cut.chunk = layout.chunk_bytes();
  cut.first_chunk = range.offset / cut.chunk;
  cut.last_chunk =
      range.bytes == 0 ? cut.first_chunk : (range.offset + range.bytes + cut.chunk - 1) / cut.chunk;
  cut.payload_from = cut.first_chunk * cut.chunk;
  cut.payload_bytes =
      range.bytes == 0 ? 0 : std::min(layout.size, cut.last_chunk * cut.chunk) - cut.payload_from;
  // Pieces small enough that checking one is hidden by the transfer of the next, large enough for full
  // bandwidth.
  const std::uint64_t piece =
      std::clamp<std::uint64_t>(cut.payload_bytes / 4, 512 * 1024, info.best_read_bytes);
  cut.piece_chunks = std::max<std::uint64_t>(1, piece / cut.chunk);
  const std::uint64_t chunks = cut.last_chunk - cut.first_chunk;
  cut.pieces = (chunks + cut.piece_chunks - 1) / cut.piece_chunks;
  cut.checked = layout.checksummed() && want.check_read();
  cut.head_joined = cut.checked && cut.first_chunk == 0 && cut.pieces > 0;
  cut.head_bytes = cut.head_joined ? layout.payload_offset() : kBlockHeaderBytes + layout.table_bytes();
  return cut;
}

/// Where things land. In place: the head, then all payload. Copied out: the head, then a ring of pieces.
struct Landing {
  std::shared_ptr<HeldBlock> hold;
  std::byte* base = nullptr;
  std::uint64_t payload_at = 0;
  std::uint64_t ring = 0;  ///< pieces in the ring; 0 in place
};

}  // namespace

Task<Result<RegionKey>> region_of(Job& job, Channel& channel, MemberId member, std::uint64_t offset,
                                  Deadline deadline) {
  if (const auto known = job.peers->region(member, offset)) co_return *known;
  WireWriter body;
  body.put(offset);
  HOLDFAST_CO_TRY(const auto reply, co_await channel.call(job.peers->receiver(member), MessageType::keys,
                                                          body.take(), deadline));
  WireReader in(reply);
  RegionKey region;
  region.first = in.get<std::uint64_t>();
  region.memory.base = in.get<std::uint64_t>();
  region.memory.key = in.get<std::uint64_t>();
  region.memory.bytes = in.get<std::uint64_t>();
  if (!in.ok() || offset < region.first || offset - region.first >= region.memory.bytes)
    co_return fail(Code::corrupt, kOperation,
                   fmt::format("{} has no memory at offset {}", job.peers->describe(member), offset));
  job.peers->add_region(member, region);
  co_return region;
}

Task<Result<Block>> landing_block(Job& job, Channel& channel, std::uint64_t bytes, std::uint64_t alignment,
                                  Deadline deadline) {
  for (;;) {
    auto block = job.holdings->allocate(bytes, alignment, std::nullopt);
    if (block || block.error().code != Code::full) co_return block;
    if (deadline.passed(job.clock) || channel.closing() || !job.holdings->may_make_room()) co_return block;
    co_await channel.sleep(job.clock.now() + std::min(kRoomInterval, deadline.left(job.clock)));
  }
}

Task<Result<std::optional<Entry>>> look_up(Job& job, Channel& channel, MemberId member, Key key,
                                           Deadline deadline) {
  const std::uint64_t catalogue_at = job.peers->card(member).catalogue_at;
  std::optional<RegionKey> known = job.peers->region(member, catalogue_at);
  if (!known) {
    HOLDFAST_CO_TRY(known, co_await region_of(job, channel, member, catalogue_at, deadline));
  }
  const RegionKey region = *known;
  HOLDFAST_CO_TRY(const fabric::PeerId peer, channel.connect(job.peers->card(member).address));
  HOLDFAST_CO_TRY(const Block block,
                  job.holdings->allocate(sizeof(CatalogueBucket), kCacheLine, std::nullopt));
  const auto hold = std::make_shared<HeldBlock>(job.memory, block);
  const CatalogueGeometry geometry = job.peers->card(member).catalogue;
  const std::uint64_t start = catalogue_at - region.first;

  fabric::ReadRequest request;
  request.peer = peer;
  request.from = region.memory;
  request.hold = hold;
  request.deadline = deadline;
  const Deadline patience = Deadline::after(job.clock, kLookPatience);
  bool in_second_place = false;
  StandsStill torn;
  for (int attempt = 0; attempt < kLookAttempts || !patience.passed(job.clock); ++attempt) {
    request.offset = start + geometry.bucket_of(key) * sizeof(CatalogueBucket);
    request.into = {block.address, sizeof(CatalogueBucket)};
    job.counters.add(Count::remote_reads);
    Channel::Read bucket = channel.read(request);
    if (Status read = co_await bucket; !read) {
      if (read.error().code == Code::timed_out && torn.is_sure()) break;
      co_return tl::unexpected(std::move(read).error());
    }
    RemoteLook look =
        look_in_bucket(std::span<const std::byte, sizeof(CatalogueBucket)>(request.into), key, geometry);
    const bool overflowed = look.overflowed;
    if (look.says == RemoteLook::Says::elsewhere) {
      request.offset = start + slot_offset(look.slot);
      request.into = {block.address, sizeof(CatalogueLine)};
      job.counters.add(Count::remote_reads);
      Channel::Read line = channel.read(request);
      if (Status read = co_await line; !read) {
        if (read.error().code == Code::timed_out && torn.is_sure()) break;
        co_return tl::unexpected(std::move(read).error());
      }
      look = look_in_slot(std::span<const std::byte, sizeof(CatalogueLine)>(request.into), key);
      // Another key there: it moved between the two reads, or the tags are alike. The next round decides.
      if (look.says == RemoteLook::Says::absent && attempt + 1 < kLookAttempts / 2) {
        torn.saw_another();
        continue;
      }
    }
    if (look.says == RemoteLook::Says::found) co_return std::optional<Entry>(look.entry);
    if (look.says == RemoteLook::Says::absent) {
      if (!overflowed || in_second_place) co_return std::optional<Entry>();
      in_second_place = true;
      key = second_place(key);
      torn.saw_another();
      continue;
    }
    if (is_being_changed(request.into))
      torn.saw_another();
    else
      torn.saw(checksum(request.into), job.clock.now());
    job.counters.add(Count::remote_torn);
  }
  job.counters.add(Count::corrupt);
  co_return fail(
      Code::corrupt, kOperation,
      fmt::format("the catalogue of {} fails its checksums; its memory was overwritten, restart it",
                  job.peers->describe(member)));
}

namespace {

/// The part of read_block that has reads in flight; the caller drains the reader whatever this returns.
Task<Result<BlockRead::Found>> read_pieces(Job& job, Entry entry, Want want, Cut cut, RegionKey region,
                                           Landing landing, PieceReader& reader, std::span<std::byte> into) {
  const BlockLayout layout = entry.layout;
  const ByteRange range = want.range.value_or(ByteRange{0, layout.size});
  const std::uint64_t payload_source = entry.location + layout.payload_offset();
  const std::uint64_t head_piece = cut.head_joined ? 0 : 1;  // reads before the first of payload
  const std::uint64_t total = cut.pieces + head_piece;
  const BlockIdentity identity{entry.id, job.peers->card(entry.owner).incarnation, layout};
  const auto place_of = [&](std::uint64_t piece) {
    const std::uint64_t position = landing.ring != 0 ? piece % landing.ring : piece;
    return landing.base + landing.payload_at + position * cut.piece_chunks * cut.chunk;
  };
  const auto bytes_of = [&](std::uint64_t piece) {
    return std::min(layout.size, cut.piece_last(piece) * cut.chunk) - cut.piece_first(piece) * cut.chunk;
  };
  const auto start = [&](std::uint64_t number) {
    job.counters.add(Count::remote_reads);
    if (number == 0) {
      const std::uint64_t joined = cut.head_joined ? bytes_of(0) : 0;
      reader.start({region, entry.location, {landing.base, cut.head_bytes + joined}, landing.hold});
      return;
    }
    const std::uint64_t piece = number - head_piece;
    reader.start({region,
                  payload_source + cut.piece_first(piece) * cut.chunk,
                  {place_of(piece), bytes_of(piece)},
                  landing.hold});
  };

  std::uint64_t started = 0, first_word = 0;
  // In a ring, a piece's place is free again only when the piece was copied out.
  const std::uint64_t window =
      landing.ring != 0 ? std::min<std::uint64_t>(reader.depth(), landing.ring) : reader.depth();
  for (std::uint64_t number = 0; number < total; ++number) {
    if (want.waiting.called_off()) co_return fail(Code::timed_out, kOperation, "called off");
    const std::uint64_t may_start = cut.checked || number > 0 ? number + window : 1;
    while (started < std::min(total, may_start)) start(started++);
    auto ended = reader.wait(number);
    HOLDFAST_CO_DO(co_await ended);
    if (number == 0) {
      const HeaderCheck header = check_header(landing.base, identity);
      if (header == HeaderCheck::other) co_return BlockRead::Found::other;
      if (header == HeaderCheck::damaged) co_return BlockRead::Found::damaged;
      first_word = header_word(landing.base);
    }
    if (number < head_piece) continue;
    const std::uint64_t piece = number - head_piece, first = cut.piece_first(piece),
                        last = cut.piece_last(piece);
    const std::byte* const bytes = place_of(piece);
    const bool check = cut.checked && !HOLDFAST_MUTATION(no_second_look);
    if (into.empty()) {
      if (check && !check_chunks(landing.base, layout, first, last, bytes))
        co_return BlockRead::Found::damaged;
      continue;
    }
    // Only what was asked for goes to the caller's buffer. Chunks that lie in it whole are checked on the
    // way.
    const std::uint64_t from = std::max(range.offset, first * cut.chunk);
    const std::uint64_t until = std::min(range.offset + range.bytes, first * cut.chunk + bytes_of(piece));
    const bool whole = from == first * cut.chunk && until == from + bytes_of(piece);
    std::byte* const to = into.data() + (from - range.offset);
    if (check && whole) {
      if (!copy_and_check_chunks(landing.base, layout, first, last, bytes, to))
        co_return BlockRead::Found::damaged;
      continue;
    }
    if (check && !check_chunks(landing.base, layout, first, last, bytes)) co_return BlockRead::Found::damaged;
    std::copy_n(bytes + (from - first * cut.chunk), until - from, to);
  }
  if (cut.checked) co_return BlockRead::Found::good;
  if (HOLDFAST_MUTATION(skip_generation_check)) co_return BlockRead::Found::good;
  // Nothing but the header tells then whether the block was freed or moved while it was read, perhaps to come
  // back.
  job.counters.add(Count::remote_reads);
  reader.start(
      {region, entry.location, {landing.base, kBlockHeaderBytes + layout.table_bytes()}, landing.hold});
  auto again = reader.wait(total);
  HOLDFAST_CO_DO(co_await again);
  const bool still =
      check_header(landing.base, identity) == HeaderCheck::good && header_word(landing.base) == first_word;
  co_return still ? BlockRead::Found::good : BlockRead::Found::other;
}

}  // namespace

Task<Result<BlockRead>> read_block(Job& job, Channel& channel, Entry entry, Want want,
                                   std::span<std::byte> into, Deadline deadline) {
  const BlockLayout layout = entry.layout;
  if (!BlockLayout::flags_valid(layout.flags) || layout.size > kMaxPayloadBytes ||
      entry.owner.value >= job.peers->size())
    co_return fail(Code::corrupt, kOperation,
                   fmt::format("the entry of object {} makes no sense", entry.id.to_hex()));
  HOLDFAST_CO_DO(check_range(want.range, layout.size));
  const ByteRange range = want.range.value_or(ByteRange{0, layout.size});
  HOLDFAST_CHECK(into.empty() || into.size() == range.bytes, "a buffer of another size than what is read");
  const Cut cut = cut_read(layout, range, want, job.fabric_info);
  const std::size_t depth = job.fabric_info.best_depth;

  Landing landing;
  // The payload lands as aligned as it lies with its owner.
  landing.payload_at = cut.head_joined ? cut.head_bytes : align_up(cut.head_bytes, layout.alignment());
  std::uint64_t bytes = landing.payload_at + cut.payload_bytes;
  if (!into.empty() && cut.pieces > depth) {
    landing.ring = depth;
    bytes = landing.payload_at + landing.ring * cut.piece_chunks * cut.chunk;
  }
  std::optional<RegionKey> known = job.peers->region(entry.owner, entry.location);
  if (!known) {
    HOLDFAST_CO_TRY(known, co_await region_of(job, channel, entry.owner, entry.location, deadline));
  }
  const RegionKey region = *known;
  // Only a token that was altered says so. Some networks break a connection over a read beyond the end.
  if (entry.location - region.first + layout.block_bytes() > region.memory.bytes) co_return BlockRead{};
  HOLDFAST_CO_TRY(const fabric::PeerId peer, channel.connect(job.peers->card(entry.owner).address));
  HOLDFAST_CO_TRY(const Block block,
                  co_await landing_block(job, channel, bytes, layout.alignment(), deadline));
  landing.base = block.address;
  landing.hold = std::make_shared<HeldBlock>(job.memory, block);

  PieceReader reader(channel, peer, deadline, std::min<std::uint64_t>(depth, cut.pieces + 1));
  Result<BlockRead::Found> found = co_await read_pieces(job, entry, want, cut, region, landing, reader, into);
  if (reader.in_flight()) co_await reader.drain();
  if (!found) co_return tl::unexpected(std::move(found).error());
  BlockRead read;
  read.found = *found;
  if (*found == BlockRead::Found::other && !is_spoiled(landing.base))
    read.strange = checksum({landing.base, kBlockHeaderBytes});
  if (*found != BlockRead::Found::good) co_return read;
  spoil_header(landing.base);
  landing.hold->set_clean();
  if (!into.empty()) {
    read.landed.payload = into;
  } else {
    read.landed.payload = {landing.base + landing.payload_at + (range.offset - cut.payload_from),
                           range.bytes};
    read.landed.hold = landing.hold;
  }
  co_return read;
}

}  // namespace holdfast
