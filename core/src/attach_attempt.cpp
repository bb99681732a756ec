#include "src/attach_attempt.h"

#include <cerrno>

#include "holdfast/version.h"
#include "src/descriptor_message.h"
#include "src/neighbour_socket.h"
#include "src/wire.h"

namespace holdfast {
namespace {
constexpr std::string_view kOperation = "Neighbours::attach";
}

bool AttachAttempt::go_on(const std::string& job, const Ledger& ledger) {
  const auto step = view_ ? take_memory() : greet(job, ledger);
  if (step && *step == Step::waits) return false;
  if (step)
    attached_(std::move(view_));
  else
    attached_(tl::unexpected(step.error()));
  return true;
}

Result<AttachAttempt::Step> AttachAttempt::greet(const std::string& job, const Ledger& ledger) {
  File connection(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!connection) return fail_errno(errno, kOperation, "cannot make a Unix socket");
  const AbstractAddress address(card_.host_socket);
  if (connect(connection.get(), address.get(), address.length) != 0) {
    if (errno == EAGAIN || errno == EINTR) return Step::waits;
    return errno == ECONNREFUSED ? fail(Code::owner_lost, kOperation, "the member's process has ended")
                                 : fail_errno(errno, kOperation, "cannot reach a member on this host");
  }
  if (!is_same_user(connection.get()))
    return fail(Code::denied, kOperation, "the member on this host belongs to another user");
  WireWriter hello;
  hello.put(kHelloMagic);
  hello.put(kProtocolVersion);
  hello.put_text(job);
  hello.put(card_.incarnation);
  hello.put(ledger.shared_bytes());
  HOLDFAST_DO(send_descriptors(connection.get(), hello.bytes(), std::vector{ledger.fd()}));
  view_ = std::make_unique<View>();
  view_->owner = rank_;
  view_->incarnation = card_.incarnation;
  view_->connection = std::move(connection);
  return Step::waits;
}

Result<AttachAttempt::Step> AttachAttempt::take_memory() {
  const auto answer = receive_descriptors(view_->connection.get());
  if (!answer && answer.error().code == Code::timed_out) return Step::waits;
  if (!answer) return tl::unexpected(answer.error());
  WireReader in(answer->bytes);
  if (in.get<std::uint64_t>() != kHelloMagic)
    return fail(Code::owner_lost, kOperation, "the member's process has ended, or refused this one");
  std::uint64_t first = 0;
  for (const File& file : answer->files) {
    const auto bytes = in.get<std::uint64_t>();
    HOLDFAST_TRY(numa::ReadOnlyMapping mapping, numa::ReadOnlyMapping::map(file, bytes));
    view_->pieces.push_back({mapping.base(), first, bytes});
    view_->mappings.push_back(std::move(mapping));
    first += bytes;
  }
  const std::byte* const catalogue = view_->at(card_.catalogue_at, card_.catalogue.bytes());
  if (!in.ok() || first != card_.arena_bytes || catalogue == nullptr)
    return fail(Code::system, kOperation, "a member on this host passed memory that does not fit its card");
  view_->catalogue = CatalogueReader(reinterpret_cast<const CatalogueBucket*>(catalogue), card_.catalogue);
  return Step::mapped;
}

}  // namespace holdfast
