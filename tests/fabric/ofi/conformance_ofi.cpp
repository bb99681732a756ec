// The conformance suite on every provider of this machine.
#include "holdfast/fabric/ofi.h"
#include "tests/fabric/conformance.h"

namespace holdfast::fabric::test {
namespace {

class OfiWorld final : public World {
 public:
  explicit OfiWorld(std::unique_ptr<Fabric> fabric) : fabric_(std::move(fabric)) {}
  Fabric& fabric() override { return *fabric_; }
  const Clock& clock() override { return real_clock(); }
  // ofi_rxm over verbs stays with the broken queue pair (1.17).
  bool reconnects() override { return !fabric_->info().rdma; }

 private:
  std::unique_ptr<Fabric> fabric_;
};

WorldMaker ofi(std::string name, OfiOptions options) {
  return {std::move(name), [options]() -> Result<std::unique_ptr<World>> {
            HOLDFAST_TRY(auto fabric, open_ofi(options));
            return std::make_unique<OfiWorld>(std::move(fabric));
          }};
}

}  // namespace
}  // namespace holdfast::fabric::test

HOLDFAST_FABRIC_CONFORMANCE(Ofi, testing::Values(ofi("chosen", {}), ofi("net", {.provider = "net"}),
                                                 ofi("net_loopback", {.provider = "net", .interface = "lo"}),
                                                 ofi("tcp_rxm", {.provider = "tcp;ofi_rxm"}),
                                                 ofi("verbs", {.provider = "verbs;ofi_rxm"})))
