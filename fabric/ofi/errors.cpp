#include "fabric/ofi/errors.h"

#include <fmt/format.h>
#include <rdma/fi_errno.h>
#include <sys/resource.h>

#include <cerrno>

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

tl::unexpected<Error> fail_registration(std::int64_t fabric_error, std::string_view operation,
                                        std::uint64_t bytes) {
  if (fabric_error != -FI_ENOMEM && fabric_error != FI_ENOMEM)
    return fail_ofi(fabric_error, operation, "fi_mr_reg");
  rlimit limit{};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  const std::string now =
      limit.rlim_cur == RLIM_INFINITY ? std::string("unlimited") : format_bytes(limit.rlim_cur);
  return fail(Code::denied, operation,
              fmt::format("registering {} with the network device needs locked memory, and the limit of this "
                          "process is {}. Raise it: `ulimit -l unlimited` before starting (hard limit: "
                          "memlock in /etc/security/limits.conf, LimitMEMLOCK= in the unit of the resource "
                          "manager), or use less memory",
                          format_bytes(bytes), now));
}

}  // namespace holdfast::fabric::ofi
