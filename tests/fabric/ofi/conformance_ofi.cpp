// The conformance suite on every provider of this machine.
#include <cstdlib>

#include "holdfast/fabric/ofi.h"
#include "tests/devices.h"
#include "tests/fabric/conformance.h"

namespace holdfast::fabric::test {
namespace {

using holdfast::test::device_for;

class OfiWorld final : public World {
 public:
  explicit OfiWorld(std::vector<std::unique_ptr<Fabric>> fabrics) : fabrics_(std::move(fabrics)) {}
  Fabric& fabric() override { return *fabrics_.front(); }
  Fabric& fabric_of(std::size_t number) override { return *fabrics_[number % fabrics_.size()]; }
  const Clock& clock() override { return real_clock(); }
  // ofi_rxm over verbs stays with the broken queue pair (1.17).
  bool reconnects() override { return !fabric().info().rdma; }

 private:
  std::vector<std::unique_ptr<Fabric>> fabrics_;  // one, or one for each device of a test bed
};

WorldMaker ofi(std::string name, OfiOptions options) {
  return {std::move(name), [options]() -> Result<std::unique_ptr<World>> {
            std::vector<std::unique_ptr<Fabric>> fabrics;
            const bool spread = options.interface.empty() && !device_for(0).empty();
            for (std::size_t i = 0; i < (spread ? 2 : 1); ++i) {
              OfiOptions one = options;
              if (spread) one.interface = device_for(i);
              HOLDFAST_TRY(auto fabric, open_ofi(one));
              // A test bed may say what has to be chosen. Skipped there is failed.
              const char* const wanted = std::getenv("TESTBED_PROVIDER");
              if (wanted != nullptr && one.provider.empty() && fabric->info().provider != wanted)
                return fail(Code::unsupported, "open_ofi", fabric->info().provider + " was chosen");
              fabrics.push_back(std::move(fabric));
            }
            return std::make_unique<OfiWorld>(std::move(fabrics));
          }};
}

}  // namespace
}  // namespace holdfast::fabric::test

HOLDFAST_FABRIC_CONFORMANCE(Ofi, testing::Values(ofi("chosen", {}), ofi("net", {.provider = "net"}),
                                                 ofi("net_loopback", {.provider = "net", .interface = "lo"}),
                                                 ofi("tcp_rxm", {.provider = "tcp;ofi_rxm"}),
                                                 ofi("verbs", {.provider = "verbs;ofi_rxm"})))
