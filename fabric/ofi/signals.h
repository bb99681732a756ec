// Undoing what loading libfabric does to the process.
#pragma once

namespace holdfast::fabric::ofi {

/// Gives SIGINT, SIGILL, SIGABRT, SIGBUS, SIGSEGV and SIGTERM their default action again where libinfinipath
/// has taken them. Its constructor, run by the dynamic loader because Debian's libfabric depends on it,
/// installs handlers that can hang a dying process in a futex, and does not keep what it replaced (so an
/// ignored signal becomes a default one). A handler that the program installed itself is left alone. Runs by
/// itself before main(), which is after the constructors of the shared libraries that this one depends on;
/// call it where more of them may have been loaded, and before threads that change handlers run. With
/// IPATH_NO_BACKTRACE set at exec there is nothing to undo.
void drop_foreign_signal_handlers() noexcept;

}  // namespace holdfast::fabric::ofi
