#include "holdfast/base/result.h"

#include <cerrno>
#include <system_error>

namespace holdfast {

std::string_view to_string(Code code) noexcept {
  switch (code) {
    case Code::not_found:
      return "not_found";
    case Code::expired:
      return "expired";
    case Code::exists:
      return "exists";
    case Code::full:
      return "full";
    case Code::timed_out:
      return "timed_out";
    case Code::owner_lost:
      return "owner_lost";
    case Code::corrupt:
      return "corrupt";
    case Code::invalid:
      return "invalid";
    case Code::unsupported:
      return "unsupported";
    case Code::denied:
      return "denied";
    case Code::system:
      return "system";
  }
  return "unknown";
}

std::string Error::message() const {
  std::string text = operation;
  text += ": ";
  text += to_string(code);
  if (!detail.empty()) {
    text += ": ";
    text += detail;
  }
  return text;
}

tl::unexpected<Error> fail_errno(int error_number, std::string_view operation, std::string_view detail) {
  const Code code = error_number == EPERM || error_number == EACCES ? Code::denied : Code::system;
  std::string text(detail);
  if (!text.empty()) text += ": ";
  text += std::generic_category().message(error_number);
  return fail(code, operation, std::move(text));
}

}  // namespace holdfast
