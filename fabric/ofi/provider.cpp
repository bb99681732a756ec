#include "fabric/ofi/provider.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <rdma/fi_errno.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <mutex>
#include <string_view>

#include "fabric/ofi/errors.h"
#include "fabric/ofi/signals.h"
#include "holdfast/base/units.h"

namespace holdfast::fabric::ofi {
namespace {

using namespace holdfast::literals;

constexpr std::uint32_t kApiVersion = FI_VERSION(1, 17);

/// Providers in order of preference. Never on it: shm (a killed reader stops the others), sockets, udp and
/// rxd (slow, unmaintained), and any stack other than the one named.
struct Preference {
  std::string_view provider;
  bool rdma;
  std::uint32_t protocol;  ///< the only one accepted; 0: any
};
constexpr std::array<Preference, 9> kPreferences = {{
    {"verbs;ofi_rxm", true, 0},
    {"efa", true, 0},
    {"cxi", true, 0},
    {"psm3", true, 0},
    {"psm2", true, 0},
    {"psm", true, 0},
    {"net", false, FI_PROTO_XNET},
    {"tcp", false, FI_PROTO_XNET},
    {"tcp;ofi_rxm", false, FI_PROTO_RXM},
}};

/// TCP: pieces of this size, this many in flight, come nearest to a raw stream (measured, bench/).
constexpr std::uint64_t kTcpPieceBytes = 1_MiB;
constexpr std::uint32_t kTcpDepth = 4;
/// RDMA: a device reaches full rate with less; larger pieces only delay the first check.
constexpr std::uint64_t kRdmaPieceBytes = 1_MiB;
constexpr std::uint32_t kRdmaDepth = 8;

/// Where an address ranks: an IPv4 interface before one without an IP address (some verbs devices are listed
/// both ways and only open with an address), that before IPv6, and anything before loopback.
enum class Reach : std::uint8_t { ipv4, device, ipv6, link_local, loopback };

struct Local {
  Reach reach = Reach::device;
  std::string address;  ///< as text; empty where it is not an IP address
};

Local local_address(const fi_info& info) {
  if (info.src_addr == nullptr) return {};
  const auto* any = static_cast<const sockaddr*>(info.src_addr);
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (info.addr_format == FI_SOCKADDR_IN || (info.addr_format == FI_SOCKADDR && any->sa_family == AF_INET)) {
    const auto* in = static_cast<const sockaddr_in*>(info.src_addr);
    inet_ntop(AF_INET, &in->sin_addr, text.data(), text.size());
    return {ntohl(in->sin_addr.s_addr) >> 24 == 127 ? Reach::loopback : Reach::ipv4, text.data()};
  }
  if (info.addr_format == FI_SOCKADDR_IN6 || info.addr_format == FI_SOCKADDR) {
    const auto* in6 = static_cast<const sockaddr_in6*>(info.src_addr);
    inet_ntop(AF_INET6, &in6->sin6_addr, text.data(), text.size());
    if (IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr)) return {Reach::loopback, text.data()};
    return {IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr) ? Reach::link_local : Reach::ipv6, text.data()};
  }
  return {};
}

std::string protocol_name(std::uint32_t protocol) {
  switch (protocol) {
    case FI_PROTO_XNET:
      return "xnet";
    case FI_PROTO_RXM:
      return "rxm";
    case FI_PROTO_RXD:
      return "rxd";
    case FI_PROTO_EFA:
      return "efa";
    case FI_PROTO_PSMX:
      return "psm";
    case FI_PROTO_PSMX2:
      return "psm2";
    case FI_PROTO_PSMX3:
      return "psm3";
    default:
      return std::to_string(protocol);
  }
}

/// What rxm needs over verbs. Read by libfabric when it is first used, so it is set before that; a user's own
/// values stay. One receive context for all connections: with one each, rxm gives back what had come by a
/// connection that it has closed to memory that is gone, so that who lives on died of a peer that was killed
/// (https://github.com/ofiwg/libfabric/issues/11828). And soft-RoCE cannot make completion queues as large as
/// rxm wants for its default number of peers.
void prepare_rxm() {
  std::error_code ignored;
  for (const auto& device : std::filesystem::directory_iterator("/sys/class/infiniband", ignored)) {
    // NOLINTBEGIN(concurrency-mt-unsafe): documented at open_ofi
    setenv("FI_OFI_RXM_USE_SRX", "1", 0);
    setenv("FI_OFI_RXM_MSG_RX_SIZE", "1024", 0);  // of 16 KiB each, locked; 4096 otherwise
    if (device.path().filename().string().starts_with("rxe")) setenv("FI_UNIVERSE_SIZE", "32", 0);
    // NOLINTEND(concurrency-mt-unsafe)
  }
}

FabricInfo describe_info(const fi_info& info, const Preference& preference) {
  FabricInfo out;
  out.provider = info.fabric_attr->prov_name;
  out.protocol = protocol_name(info.ep_attr->protocol);
  out.domain = info.domain_attr->name;
  out.rdma = preference.rdma;
  out.needs_attach = (info.domain_attr->mr_mode & FI_MR_LOCAL) != 0;
  out.exposes_lazily = !preference.rdma && (info.domain_attr->mr_mode & FI_MR_ALLOCATED) == 0;
  out.max_read_bytes = info.ep_attr->max_msg_size;
  out.best_read_bytes =
      std::min<std::uint64_t>(preference.rdma ? kRdmaPieceBytes : kTcpPieceBytes, out.max_read_bytes);
  out.best_depth = preference.rdma ? kRdmaDepth : kTcpDepth;
  out.max_gather =
      static_cast<std::uint32_t>(std::clamp<std::size_t>(info.tx_attr->rma_iov_limit, 1, kMostGather));
  return out;
}

/// Empty where it fits, else why not.
std::string misfit(const fi_info& info, const Preference& preference, const OfiOptions& options) {
  if (preference.provider != info.fabric_attr->prov_name)
    return fmt::format("a stack of providers that is not used ({})", info.fabric_attr->prov_name);
  if (preference.protocol != 0 && info.ep_attr->protocol != preference.protocol)
    return fmt::format("speaks protocol {}, not {}", protocol_name(info.ep_attr->protocol),
                       protocol_name(preference.protocol));
  if ((info.mode & ~(FI_CONTEXT | FI_CONTEXT2)) != 0) return "needs a mode that Holdfast does not offer";
  if (info.ep_attr->max_msg_size < kMaxMessageBytes) return "cannot send messages of 4 KiB";
  if (!options.interface.empty()) {
    const std::string_view wanted = options.interface;
    if (wanted != info.domain_attr->name && wanted != info.fabric_attr->name &&
        wanted != local_address(info).address)
      return fmt::format("not on interface {}", wanted);
  }
  return {};
}

std::string why_chosen(const Preference& preference, const Local& local, const OfiOptions& options) {
  std::string why = preference.rdma ? "RDMA-capable" : "TCP, no RDMA-capable provider fits";
  if (!options.provider.empty()) why = "asked for by name";
  if (local.reach == Reach::loopback)
    why += options.interface.empty() ? "; loopback, no other interface is up" : "; loopback, as asked";
  return why;
}

void add_choices(const Preference& preference, const OfiOptions& options, std::vector<Choice>& usable,
                 std::vector<Choice>& others) {
  const InfoHandle hints = make_hints(std::string(preference.provider));
  // Endpoints may have to share a domain (domain.h); which provider pins memory is known only afterwards.
  if (preference.rdma) hints->domain_attr->threading = FI_THREAD_SAFE;
  fi_info* raw = nullptr;
  const int rc = fi_getinfo(kApiVersion, nullptr, nullptr, 0, hints.get(), &raw);
  const InfoHandle list(raw);
  if (rc != 0 || !list) {
    Choice none;
    none.candidate.info.provider = preference.provider;
    none.candidate.info.rdma = preference.rdma;
    none.candidate.reason = rc == -FI_ENODATA ? "not here (no device, or not built into this libfabric)"
                                              : fmt::format("fi_getinfo: {}", describe(rc));
    others.push_back(std::move(none));
    return;
  }
  struct Ranked {
    Local local;
    const fi_info* info;
  };
  std::vector<Ranked> fitting;
  std::string last_misfit;
  for (const fi_info* info = list.get(); info != nullptr; info = info->next) {
    std::string reason = misfit(*info, preference, options);
    if (reason.empty())
      fitting.push_back({local_address(*info), info});
    else if (preference.provider == info->fabric_attr->prov_name || last_misfit.empty())
      last_misfit = std::move(reason);
  }
  std::stable_sort(fitting.begin(), fitting.end(),
                   [](const Ranked& a, const Ranked& b) { return a.local.reach < b.local.reach; });
  for (const Ranked& ranked : fitting) {
    Choice choice;
    choice.candidate.info = describe_info(*ranked.info, preference);
    choice.candidate.usable = true;
    choice.candidate.reason = why_chosen(preference, ranked.local, options);
    choice.candidate.info.reason = choice.candidate.reason;
    choice.info.reset(fi_dupinfo(ranked.info));
    usable.push_back(std::move(choice));
  }
  if (fitting.empty()) {
    Choice none;
    none.candidate.info = describe_info(*list, preference);
    none.candidate.reason = last_misfit;
    others.push_back(std::move(none));
  }
}

}  // namespace

InfoHandle make_hints(const std::string& provider) {
  InfoHandle hints(fi_allocinfo());
  if (!provider.empty()) hints->fabric_attr->prov_name = strdup(provider.c_str());
  hints->ep_attr->type = FI_EP_RDM;
  hints->caps = FI_MSG | FI_RMA;
  hints->mode = FI_CONTEXT | FI_CONTEXT2;
  hints->domain_attr->mr_mode =
      FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY | FI_MR_ENDPOINT;
  // An endpoint with a domain of its own has one thread: no locks inside the provider.
  hints->domain_attr->threading = FI_THREAD_DOMAIN;
  hints->domain_attr->control_progress = FI_PROGRESS_MANUAL;
  hints->domain_attr->data_progress = FI_PROGRESS_MANUAL;
  hints->domain_attr->av_type = FI_AV_TABLE;
  hints->tx_attr->msg_order = FI_ORDER_SAS;  // messages stay in order
  hints->rx_attr->msg_order = FI_ORDER_SAS;
  return hints;
}

std::vector<Choice> find_choices(const OfiOptions& options) {
  drop_foreign_signal_handlers();
  static std::once_flag prepared;
  std::call_once(prepared, prepare_rxm);
  std::vector<Choice> usable;
  std::vector<Choice> others;
  for (const Preference& preference : kPreferences) {
    if (!options.provider.empty() && options.provider != preference.provider) continue;
    add_choices(preference, options, usable, others);
  }
  drop_foreign_signal_handlers();  // a provider loaded just now may have brought the library in
  std::move(others.begin(), others.end(), std::back_inserter(usable));
  return usable;
}

bool rdma_hardware_present() {
  std::error_code ignored;
  return std::filesystem::directory_iterator("/sys/class/infiniband", ignored) !=
         std::filesystem::directory_iterator();
}

std::string preferred_names() {
  std::string out;
  for (const Preference& preference : kPreferences)
    out += fmt::format("{}{}", out.empty() ? "" : ", ", preference.provider);
  return out;
}

std::string name_of(const FabricInfo& info) {
  return info.domain.empty() ? info.provider
                             : fmt::format("{} ({}) on {}", info.provider, info.protocol, info.domain);
}

}  // namespace holdfast::fabric::ofi
