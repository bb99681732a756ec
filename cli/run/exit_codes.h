// Exit codes that shells and timeout(1) use for the same things.
#pragma once

namespace holdfast::run {

inline constexpr int kCodeTimedOut = 124;
inline constexpr int kCodeNotExecutable = 126;
inline constexpr int kCodeNotFound = 127;
inline constexpr int kCodeSignal = 128;

}  // namespace holdfast::run
