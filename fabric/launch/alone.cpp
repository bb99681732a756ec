// No launcher: this process is the whole job.
#include <fmt/format.h>

#include "fabric/launch/launchers.h"
#include "holdfast/base/random.h"

namespace holdfast::fabric::launch {
namespace {

class Alone final : public Launch {
 public:
  const Identity& identity() const noexcept override { return identity_; }

  Result<std::vector<std::string>> exchange(std::string_view card, Deadline /*deadline*/) override {
    HOLDFAST_DO(check_card(card));
    return std::vector<std::string>{std::string(card)};
  }

 private:
  Identity identity_{
      .rank = 0, .size = 1, .job = fmt::format("alone-{:016x}", random_u64()), .launcher = "alone"};
};

}  // namespace

std::unique_ptr<Launch> open_alone() { return std::make_unique<Alone>(); }

}  // namespace holdfast::fabric::launch
