#include "fabric/ofi/errors.h"

#include <fmt/format.h>
#include <rdma/fi_errno.h>

#include <cerrno>

#include "fabric/ofi/locked_memory.h"
#include "holdfast/base/file.h"
#include "holdfast/base/units.h"

namespace holdfast::fabric::ofi {

Code code_of(std::int64_t fabric_error) noexcept {
  switch (fabric_error < 0 ? -fabric_error : fabric_error) {
    // The connection broke or was refused. ECANCELED is what a provider gives the operations it flushes
    // when that happens, EIO what verbs makes of a vanished peer (retries exceeded).
    case FI_ECONNRESET:
    case FI_ECONNREFUSED:
    case FI_ECONNABORTED:
    case FI_ENOTCONN:
    case FI_EHOSTUNREACH:
    case FI_EHOSTDOWN:
    case FI_ENETUNREACH:
    case FI_ENETDOWN:
    case FI_ESHUTDOWN:
    case FI_ETIMEDOUT:
    case FI_ECANCELED:
    case FI_EIO:
    case EPIPE:
      return Code::owner_lost;
    case FI_EACCES:
    case FI_EPERM:
    case EMFILE:
    case ENFILE:
    case FI_EKEYREJECTED:
    case FI_ENOKEY:
      return Code::denied;
    case FI_EINVAL:
    case FI_EMSGSIZE:
    case FI_ETRUNC:
    case FI_ETOOSMALL:
    case ERANGE:
      return Code::invalid;
    case FI_ENOSYS:
    case FI_EOPNOTSUPP:
    case FI_ENODATA:
    case FI_ENODEV:
      return Code::unsupported;
    default:
      return Code::system;
  }
}

std::string describe(std::int64_t fabric_error) {
  const int number = static_cast<int>(fabric_error < 0 ? -fabric_error : fabric_error);
  return fmt::format("{} ({})", fi_strerror(number), number);
}

tl::unexpected<Error> fail_ofi(std::int64_t fabric_error, std::string_view operation, std::string_view call) {
  return fail(
      code_of(fabric_error), operation,
      fmt::format("{}: {}{}", call, describe(fabric_error),
                  how_to_open_more(static_cast<int>(fabric_error < 0 ? -fabric_error : fabric_error))));
}

namespace {

bool may_be_locked_memory(std::int64_t fabric_error) {
  const std::int64_t number = fabric_error < 0 ? -fabric_error : fabric_error;
  return number == FI_ENOMEM || number == FI_EPERM;
}

}  // namespace

tl::unexpected<Error> fail_registration(std::int64_t fabric_error, std::string_view operation,
                                        std::uint64_t bytes) {
  if (!may_be_locked_memory(fabric_error)) return fail_ofi(fabric_error, operation, "fi_mr_reg");
  const std::uint64_t limit = LockedMemory::of_this_process().soft;
  const std::string now = limit == UINT64_MAX ? std::string("unlimited") : format_bytes(limit);
  return fail(Code::denied, operation,
              fmt::format("registering {} with the network device needs locked memory, and the limit of this "
                          "process is {}. {}",
                          format_bytes(bytes), now, how_to_lock_more()));
}

tl::unexpected<Error> fail_opening(std::int64_t fabric_error, std::string_view operation,
                                   std::string_view call, const FabricInfo& info) {
  const std::uint64_t limit = LockedMemory::of_this_process().soft;
  if (!pins_memory(info) || !may_be_locked_memory(fabric_error) || limit == UINT64_MAX)
    return fail_ofi(fabric_error, operation, call);
  return fail(Code::denied, operation,
              fmt::format("{}: {}: the device needs locked memory, and the limit of this process is {}. {}",
                          call, describe(fabric_error), format_bytes(limit), how_to_lock_more()));
}

}  // namespace holdfast::fabric::ofi
