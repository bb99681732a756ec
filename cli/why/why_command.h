// `holdfast why`: what keeps an object of a running job.
#pragma once

namespace CLI {
class App;
}

namespace holdfast::cli {

/// Adds the subcommand; its exit status goes to `exit_code`, which outlives `app`: 0, or 1 where nobody could
/// be asked.
void add_why_command(CLI::App& app, int& exit_code);

}  // namespace holdfast::cli
