// What an operation gives back: a value, or an error that says what the caller can do about it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace holdfast {

/// What a caller can do about an error; the detail says what happened.
enum class Code : std::uint8_t {
  not_found,    ///< there is no such object, name or file (any more); nothing was changed
  expired,      ///< a token was redeemed too late, and nothing else keeps its object for the redeemer
  exists,       ///< the name is taken; erase it first, or choose another
  full,         ///< no room; the detail gives the sizes; free something or ask for more at open
  timed_out,    ///< the deadline passed; the operation may be tried again
  owner_lost,   ///< the member that owned the object has closed, died or cannot be reached
  corrupt,      ///< bytes failed their checksum; nothing of them was handed out
  invalid,      ///< the arguments or the configuration are wrong; the detail says which and how to mend them
  unsupported,  ///< this machine, provider or version cannot do it
  denied,       ///< permission or a resource limit forbids it; the detail names the limit
  system,       ///< the operating system or a library refused; the detail carries its message
};

/// The code's name as it stands in the documentation ("not_found").
std::string_view to_string(Code code) noexcept;

/// Why an operation failed. The one error type of every public interface.
struct Error {
  Code code = Code::system;
  std::string operation;  ///< what was being done, e.g. "Store::get"
  std::string detail;     ///< what happened and what to do, for people

  /// "Store::get: not_found: ..." on one line.
  std::string message() const;

  friend bool operator==(const Error&, const Error&) = default;
};

template <class T>
using Result = tl::expected<T, Error>;

using Status = Result<void>;

/// Builds the failed side of a Result.
inline tl::unexpected<Error> fail(Code code, std::string_view operation, std::string detail) {
  return tl::unexpected<Error>(Error{code, std::string(operation), std::move(detail)});
}

/// Builds the failed side of a Result from errno's value (`denied` for EPERM and EACCES, else `system`).
tl::unexpected<Error> fail_errno(int error_number, std::string_view operation, std::string_view detail);

}  // namespace holdfast

#define HOLDFAST_CONCAT_INNER(a, b) a##b
#define HOLDFAST_CONCAT(a, b) HOLDFAST_CONCAT_INNER(a, b)

#define HOLDFAST_TRY_WITH(return_word, temporary, declaration, ...) \
  auto temporary = (__VA_ARGS__);                                   \
  if (!temporary) [[unlikely]]                                      \
    return_word ::tl::unexpected(std::move(temporary).error());     \
  declaration = std::move(*temporary)

#define HOLDFAST_DO_WITH(return_word, temporary, ...)             \
  do {                                                            \
    auto temporary = (__VA_ARGS__);                               \
    if (!temporary) [[unlikely]]                                  \
      return_word ::tl::unexpected(std::move(temporary).error()); \
  } while (false)

/// HOLDFAST_TRY(auto x, expression): x is the value, or this function returns the error.
#define HOLDFAST_TRY(declaration, ...) \
  HOLDFAST_TRY_WITH(return, HOLDFAST_CONCAT(holdfast_try_, __COUNTER__), declaration, __VA_ARGS__)
/// HOLDFAST_DO(expression): for a Status; this function returns its error.
#define HOLDFAST_DO(...) HOLDFAST_DO_WITH(return, holdfast_do_, __VA_ARGS__)
/// The same two inside a coroutine.
#define HOLDFAST_CO_TRY(declaration, ...) \
  HOLDFAST_TRY_WITH(co_return, HOLDFAST_CONCAT(holdfast_try_, __COUNTER__), declaration, __VA_ARGS__)
#define HOLDFAST_CO_DO(...) HOLDFAST_DO_WITH(co_return, holdfast_do_, __VA_ARGS__)
