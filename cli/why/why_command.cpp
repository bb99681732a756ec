#include "cli/why/why_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "holdfast/why.h"

namespace holdfast::cli {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(10);

int run_why(const std::string& text) {
  const auto id = ObjectId::from_hex(text);
  const auto told = id ? why(*id, kTimeout) : Result<std::string>(tl::unexpected(id.error()));
  if (!told) {
    fmt::print(stderr, "{}\n", told.error().message());
    return 1;
  }
  fmt::print("{}", *told);
  return 0;
}

}  // namespace

void add_why_command(CLI::App& app, int& exit_code) {
  auto* const command = app.add_subcommand(
      "why",
      "what holds an object of a running job, and what keeps it from being evicted; on its owner's host");
  const auto id = std::make_shared<std::string>();
  command->add_option("ID", *id, "32 hexadecimal digits, as ObjectId::to_hex gives them and errors name them")
      ->required();
  command->callback([id, &exit_code] { exit_code = run_why(*id); });
}

}  // namespace holdfast::cli
