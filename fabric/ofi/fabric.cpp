#include <fmt/format.h>

#include <mutex>
#include <utility>

#include "fabric/ofi/endpoint.h"
#include "fabric/ofi/errors.h"
#include "fabric/ofi/locked_memory.h"
#include "fabric/ofi/ports.h"
#include "fabric/ofi/provider.h"
#include "holdfast/base/log.h"
#include "holdfast/fabric/ofi.h"

namespace holdfast::fabric {
namespace ofi {
namespace {

constexpr std::string_view kOpen = "open_ofi";

class OfiFabric final : public Fabric {
 public:
  static Result<std::unique_ptr<OfiFabric>> open(Choice choice, const Clock& clock) {
    fid_fabric* fabric = nullptr;
    if (const int rc = fi_fabric(choice.info->fabric_attr, &fabric, nullptr); rc != 0)
      return fail_ofi(rc, kOpen, "fi_fabric");
    return std::unique_ptr<OfiFabric>(new OfiFabric(FabricHandle(fabric), std::move(choice), clock));
  }

  const FabricInfo& info() const noexcept override { return choice_.candidate.info; }

  Result<std::unique_ptr<Endpoint>> open(const EndpointOptions& options) override {
    const std::lock_guard lock(opening_);
    HOLDFAST_TRY(auto domain, domain_for_endpoint());
    HOLDFAST_TRY(auto endpoint, OfiEndpoint::open(std::move(domain), *choice_.info, info(), options, clock_));
    return endpoint;
  }

 private:
  Result<std::shared_ptr<Domain>> domain_for_endpoint() {
    if (shared_) return shared_;
    HOLDFAST_TRY(auto domain, Domain::open(*fabric_, *choice_.info, info()));
    if (Domain::is_shared(*choice_.info, info())) shared_ = domain;
    return domain;
  }

  OfiFabric(FabricHandle fabric, Choice choice, const Clock& clock)
      : choice_(std::move(choice)), fabric_(std::move(fabric)), clock_(clock) {}

  Choice choice_;
  FabricHandle fabric_;
  std::shared_ptr<Domain> shared_;  ///< of all endpoints; nothing: each has its own
  const Clock& clock_;
  std::mutex opening_;  // providers share state in the fabric object while a domain is made
};

std::string list_of(const std::vector<Choice>& choices) {
  std::string out;
  for (const Choice& choice : choices)
    out += fmt::format("{}{}: {}", out.empty() ? "" : "; ", name_of(choice.candidate.info),
                       choice.candidate.reason);
  return out.empty() ? "none" : out;
}

/// Opens a choice and tries an endpoint on it: what cannot be used should be passed over now.
Result<std::unique_ptr<Fabric>> try_choice(Choice choice, const OfiOptions& options, const Clock& clock) {
  HOLDFAST_DO(
      check_locked_memory(choice.candidate.info, options, LockedMemory::of_this_process(), pinned_now()));
  HOLDFAST_TRY(auto fabric, OfiFabric::open(std::move(choice), clock));
  // Where ports are few, as many as the caller needs: it should not find out with its first get.
  const bool few_ports = port_range_of(fabric->info().provider).has_value();
  std::vector<std::unique_ptr<Endpoint>> endpoints(few_ports ? options.least_endpoints : 1);
  for (auto& endpoint : endpoints) {
    HOLDFAST_TRY(endpoint, fabric->open({.receive_depth = 1}));
  }
  endpoints.clear();
  return fabric;
}

void log_choice(const FabricInfo& info) {
  const bool surprising = !info.rdma && rdma_hardware_present();
  log(surprising ? LogLevel::warning : LogLevel::info,
      fmt::format("fabric: {}: {}{}", name_of(info), info.reason,
                  surprising ? "; this machine has RDMA devices, see `holdfast doctor`" : ""));
}

}  // namespace
}  // namespace ofi

Result<std::unique_ptr<Fabric>> open_ofi(const OfiOptions& options, const Clock& clock) {
  std::vector<ofi::Choice> choices = ofi::find_choices(options);
  std::string failures;
  Error last{Code::unsupported, std::string(ofi::kOpen), ""};
  for (ofi::Choice& choice : choices) {
    if (!choice.candidate.usable) continue;
    const std::string name = ofi::name_of(choice.candidate.info);
    if (!failures.empty()) choice.candidate.info.reason += "; better ones failed: " + failures;
    // Not what lacks locked memory: TCP instead of a device that is there would be slow, and nobody would
    // know.
    const bool final = !choice.candidate.info.rdma || (pins_memory(choice.candidate.info) &&
                                                       LockedMemory::of_this_process().soft != UINT64_MAX);
    auto fabric = ofi::try_choice(std::move(choice), options, clock);
    if (fabric) {
      ofi::log_choice((*fabric)->info());
      return fabric;
    }
    last = fabric.error();
    // A limit of this process or host: other interfaces have it, too.
    if (last.code == Code::denied && final) return tl::unexpected(std::move(last));
    failures += fmt::format("{}{}: {}", failures.empty() ? "" : "; ", name, last.message());
    log(LogLevel::warning, fmt::format("fabric: {} cannot be used: {}", name, last.message()));
  }
  if (!failures.empty()) return fail(last.code, ofi::kOpen, failures);
  if (choices.empty())
    return fail(Code::unsupported, ofi::kOpen,
                fmt::format("Holdfast does not use provider '{}'; it uses {}", options.provider,
                            ofi::preferred_names()));
  std::string asked = options.provider.empty() ? "" : fmt::format(" '{}'", options.provider);
  if (!options.interface.empty()) asked += fmt::format(" on '{}'", options.interface);
  return fail(
      Code::unsupported, ofi::kOpen,
      fmt::format("no libfabric provider{} can be used here. Looked at: {}", asked, ofi::list_of(choices)));
}

Result<std::vector<OfiCandidate>> probe_ofi(const OfiOptions& options) {
  std::vector<OfiCandidate> out;
  for (ofi::Choice& choice : ofi::find_choices(options)) out.push_back(std::move(choice.candidate));
  return out;
}

}  // namespace holdfast::fabric
